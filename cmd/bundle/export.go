package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"bundle/bundle"
	"bundle/bundle/reports"
)

const exportExample = `  # A key once; then what would be fetched, and the bundle.
  bundle keygen release-key
  bundle export oci://ghcr.io/wasmcloud/charts/runtime-operator --version 2.7.0 --dry-run
  bundle export oci://ghcr.io/wasmcloud/charts/runtime-operator --version 2.7.0 --key release-key

  # A chart of an HTTP repository, for one platform, with values and one more image.
  bundle export nginx --repo https://charts.example.com -f site.yaml --set replicas=3 \
    --platform linux/amd64 --image docker.io/library/busybox:1.37 --key release-key

  # Only images that somebody signed with cosign, by public keys.
  bundle export ./chart --key release-key --verify-images policy.yaml

  # Several charts, and images alone.
  bundle export --config bundle.yaml --key release-key -o site.bundle.tar
  bundle export --image ghcr.io/acme/tool:1.0 --key release-key -o tool.bundle.tar

  # Onto media that are too small, with one to spare; into a pipe.
  bundle export ./chart --key release-key --split-size bd25 --parity 1 -o /media/a -o /media/b -o /media/c
  bundle export ./chart --key release-key -o - | ssh drop 'cat > app.bundle.tar'

  # With the program for a machine that has none, and a page that says what to do.
  bundle export ./chart --key release-key --with-tool windows/amd64 --tool-dir downloads -o /media/a/app.bundle.tar`

const exportLong = `Write a chart and every image it needs into one signed bundle.

CHART is a folder, a .tgz, oci://HOST/PATH[:VERSION], or with --repo URL the name
of a chart in an HTTP chart repository. Images are found by rendering the chart
with the values given. Without CHART, --image alone makes a bundle too.

With --base, layers that an earlier bundle brought stay out: the bundle is a delta.
An import takes it where the registry has those layers, or beside the earlier bundle.

With --verify-images, a policy says which cosign public keys have to have signed which
images; the first rule that matches HOST/PATH decides:

  images:
    - match: ghcr.io/acme/**    # * within a part of the path, ** any number of parts
      keys: [acme.pub]          # files beside the policy; any one of them
      otherwise: report         # exit code 6; without it, the export ends with 3
    - match: docker.io/library/*
      unsigned: allowed

With --with-tool, the program for the far side lies beside the bundle, or beside each
part of one, with READ-ME-FIRST.txt, which says how to check it by hand and what to run;
READ-ME-FIRST.sha256 has the checksums, signed with --key. It is this program, or one
from an archive of a release in the folder --tool-dir, which bundle verify SHA256SUMS
checks before.

The file appears only when it is complete. A run that was killed, interrupted or
cut off leaves FILE.partial when it holds something worth keeping: the same
command goes on from there, and the result is the same.`

func newExport() *cobra.Command {
	var (
		o         bundle.ExportOptions
		chart     chartFlags
		reg       registryFlags
		set       setFlags
		base      baseFlags
		platforms []string
		lists     []string
		key       string
		config    string
	)
	cmd := &cobra.Command{
		Use:     "export [CHART] [-o FILE] --key FILE",
		Short:   "Write a chart and every image it needs into one signed bundle",
		Long:    exportLong,
		Example: exportExample,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := without(cmd, [][]string{{"unsigned", "key"}, {"no-values", "redact"}, {"dry-run", "in-order", "force"}}); err != nil {
				return err
			}
			if err := chart.needed(cmd, args); err != nil {
				return err
			}
			if len(args) == 1 {
				spec, err := chart.chart(cmd, &reg, args[0])
				if err != nil {
					return err
				}
				o.Charts = append(o.Charts, spec)
			}
			if config != "" {
				if err := addConfig(cmd.Context(), &o, config); err != nil {
					return err
				}
			}
			if err := addLists(cmd.Context(), &o, lists); err != nil {
				return err
			}
			if err := errors.Join(set.into(cmd, &o), base.into(cmd.Context(), &o)); err != nil {
				return err
			}
			return runExport(cmd, &o, &reg, platforms, key)
		},
	}
	fl := cmd.Flags()
	fl.StringArrayVarP(&set.outputs, "output", "o", nil, "write the bundle to `FILE`, a pipe or a tape, or - for standard output (default NAME-VERSION.bundle.tar);\nwith --split-size: a folder for parts (repeatable: in turn)")
	set.add(cmd)
	base.add(fl)
	addImages(fl, &o, &lists)
	addChoice(fl, &o, &platforms)
	fl.BoolVar(&o.NoValues, "no-values", false, "leave the values given here out of the bundle")
	fl.StringArrayVar(&o.Redact, "redact", nil, "leave the value at `KEY` (a.b.c) out of the bundle (repeatable)")
	addSigning(fl, &o, &key)
	fl.BoolVar(&o.Force, "force", false, "replace another bundle that FILE is, or in parts has the name, once this one is complete; on a medium without room for both, before it is written, which is said")
	fl.BoolVar(&o.DryRun, "dry-run", false, "print images, sizes and the total, and write nothing")
	fl.StringArrayVar(&o.WithTool.Platforms, "with-tool", nil, "put the program for a far side of `OS/ARCH` beside the bundle, with a page that says what to do (repeatable)")
	fl.StringVar(&o.WithTool.Folder, "tool-dir", "", "take programs for --with-tool from this `FOLDER` with archives of a release (default: this program alone)")
	o.Jobs = bundle.DefaultJobs
	fl.Var(jobs(&o.Jobs), "jobs", "`NUMBER` of transfers at once, at one registry")
	fl.BoolVar(&o.InOrder, "in-order", false, "let FILE grow from front to back, for media that fill gaps with zeros (on Linux, FAT and exFAT are detected)")
	fl.StringVar(&config, "config", "", "export what this `FILE` lists: charts, images, platforms; a mirror.yaml, a hauler manifest or a zarf.yaml will do")
	chart.add(cmd)
	reg.addMirrors(cmd)
	reg.add(cmd, "the chart repository of --repo")
	return cmd
}

// addImages adds the flags that say which images travel besides those of charts.
func addImages(fl *pflag.FlagSet, o *bundle.ExportOptions, lists *[]string) {
	fl.StringArrayVar(&o.Images, "image", nil, "add the image or OCI artifact `REF`, or oci:FOLDER[:NAME], oci-archive:FILE[:NAME],\ndocker-archive:FILE[:REF]; with TEXT= before it, that is what TEXT in a chart becomes (repeatable)")
	fl.StringArrayVar(lists, "images-from", nil, "add the images that `FILE` lists, one a line, # begins a comment; or a hauler manifest or a zarf.yaml (repeatable)")
	fl.StringArrayVar(&o.Exclude, "exclude", nil, "leave out `REF`, though a chart names it (repeatable)")
	fl.StringArrayVar(&o.Ignore, "ignore", nil, "`TEXT` that a chart writes in the place of an image is known, and not missed (repeatable)")
}

// addSigning adds the flags that say who vouches for the bundle, and for how long.
func addSigning(fl *pflag.FlagSet, o *bundle.ExportOptions, key *string) {
	fl.StringVar(key, "key", "", "sign with this OpenSSH private key `FILE`, or with a .pub whose private key the ssh-agent holds")
	fl.Var(numberFlag[int64]{n: &o.Serial}, "serial", "number the bundle: an import tells newer from older by `N` first, then by the time")
	fl.Var((*daysFlag)(&o.ValidFor), "expires", "have imports refuse the bundle after this `TIME` (90d, 12w, 36h)")
	fl.StringVar(&o.VerifyImages, "verify-images", "", "take only images that are signed with cosign as the policy in `FILE` wants it, by public keys")
	fl.BoolVar(&o.Unsigned, "unsigned", false, "write a bundle that nobody vouches for")
}

// addChoice adds the flags that say what of an image travels.
func addChoice(fl *pflag.FlagSet, o *bundle.ExportOptions, platforms *[]string) {
	fl.StringArrayVar(platforms, "platform", nil, "take only `OS/ARCH[/VARIANT]` of each image (repeatable; default all)")
	fl.BoolVar(&o.PlatformOptional, "platform-optional", false, "take images that lack a --platform with those that they have")
	fl.StringArrayVar(&o.AllPlatforms, "all-platforms", nil, "take `REF` as it is, whatever --platform says (repeatable)")
	fl.StringArrayVar(&o.NoReferrers, "no-referrers", nil, "leave signatures, SBOMs and other referrers of images behind, those from `HOST` alone with =HOST (repeatable)")
	fl.Lookup("no-referrers").NoOptDefVal = bundle.AllRegistries
}

// addLists adds the images that files list.
func addLists(ctx context.Context, o *bundle.ExportOptions, lists []string) error {
	for _, list := range lists {
		images, notTaken, err := bundle.LoadList(ctx, list)
		if err != nil {
			return err
		}
		o.Images, o.NotTaken = append(o.Images, images...), append(o.NotTaken, notTaken...)
	}
	return nil
}

// addConfig adds what a configuration file lists to what the command line says.
func addConfig(ctx context.Context, o *bundle.ExportOptions, path string) error {
	c, err := bundle.LoadConfig(ctx, path)
	if err != nil {
		return err
	}
	o.Charts = append(o.Charts, c.Charts...)
	o.Platforms = append(o.Platforms, c.Platforms...)
	o.NotTaken = append(o.NotTaken, c.NotTaken...)
	o.Destinations = make(map[string]string)
	for _, im := range c.Images {
		o.Images = append(o.Images, im.Source)
		if im.Destination != "" {
			o.Destinations[im.Source] = im.Destination
		}
	}
	return nil
}

func runExport(cmd *cobra.Command, o *bundle.ExportOptions, reg *registryFlags, platforms []string, key string) error {
	ctx := cmd.Context()
	if len(o.Platforms)+len(platforms) == 0 && (o.PlatformOptional || len(o.AllPlatforms) > 0) {
		return &bundle.UsageError{What: "--platform-optional and --all-platforms mean nothing without --platform", Advice: "name the platforms that you want, or drop them"}
	}
	for _, s := range platforms {
		p, err := bundle.ParsePlatform(s)
		if err != nil {
			return err
		}
		o.Platforms = append(o.Platforms, p)
	}
	var err error
	if o.Registry, err = reg.options(); err != nil {
		return err
	}
	if o.Created, err = created(); err != nil {
		return err
	}
	o.Progress = newProgress(cmd)
	o.Registry.Waiting = told(o.Progress)
	if err := streamTo(cmd, o); err != nil {
		return err
	}
	if key != "" && o.Unsigned {
		return &bundle.UsageError{What: "--key and --unsigned exclude each other"}
	}
	if key != "" && !o.DryRun {
		if o.Signer, err = bundle.LoadSigner(ctx, key, keyOptions(ctx, cmd.ErrOrStderr(), key)); err != nil {
			return err
		}
	}
	if o.WithTool.Folder != "" && len(o.WithTool.Platforms) == 0 {
		return &bundle.UsageError{What: "--tool-dir means nothing without --with-tool", Advice: "say for which machine: --with-tool linux/amd64"}
	}
	o.Tool, o.WithTool.Version = toolName(), program().Version
	report, err := bundle.Export(ctx, *o)
	if report == nil {
		return err
	}
	return output(cmd, exportJSON(report, err), func(v view) { printExport(v, report) }, func(w io.Writer) {
		for _, im := range report.Images {
			if report.DryRun {
				fmt.Fprintln(w, im.Reference)
			}
		}
	}, err)
}

func printExport(v view, r *reports.Export) {
	printNotTaken(v.err, r.NotTaken)
	for _, c := range slices.Concat(r.Warnings, r.Collisions) {
		fmt.Fprintf(v.err, "warning: %s\n", c)
	}
	if r.DryRun {
		w := v.out
		fmt.Fprintln(w, "dry run: no bundle is written")
		printImages(w, r.Images)
		printReduced(w, r.Images)
		printNotes(w, r)
		printFetched(v.err, r.Fetched)
		printBases(w, r.Bases)
		for _, p := range r.Programs {
			fmt.Fprintf(w, "with the program for %s: %s, %s\n", p.Platform, p.Name, size(p.Size))
		}
		fmt.Fprintf(w, "%s, %s, %s to fetch (each blob once)\n", images(len(r.Images), len(r.Referrers)), count(r.Blobs, "blob"), size(r.Payload))
		return
	}
	w := v.err
	for _, c := range r.Changed {
		fmt.Fprintf(w, "%s has moved since the run that this one went on with: %s was %s\n", c.Reference, short(c.Now.String()), short(c.Was.String()))
	}
	if r.Resumed > 0 {
		fmt.Fprintf(w, "went on with %s of an earlier run\n", size(r.Resumed))
	}
	fmt.Fprintf(w, "%s: %s, %s, %s, id %s\n", r.Output, size(r.Size), count(len(r.Charts), "chart"), images(len(r.Images), len(r.Referrers)), r.ID)
	printBases(w, r.Bases)
	printReduced(w, r.Images)
	printNotes(w, r)
	printFetched(w, r.Fetched)
	if r.Fingerprint == "" {
		fmt.Fprintln(w, "not signed")
	} else {
		printFingerprint(w, "signed with ", r.Fingerprint)
	}
	printRemoved(w, r.Removed)
	printBeside(w, r)
	if r.Count > 0 {
		printWritten(w, r.Parts, r.Count)
	} else if onMedium(r.Output) {
		fmt.Fprintln(w, "it is on the disk; once unmounted, the medium is safe to remove")
	}
}

// printBeside says which programs travel too.
func printBeside(w paper, r *reports.Export) {
	for _, p := range r.Programs {
		fmt.Fprintf(w, "beside it for %s: %s, SHA-256 %s\n", p.Platform, p.Name, p.SHA256())
	}
	if len(r.Programs) == 0 {
		return
	}
	what := "this sum"
	if r.Fingerprint != "" {
		what = "the fingerprint"
	}
	fmt.Fprintf(w, "  tell the far side %s by another way than the media; READ-ME-FIRST.txt says what to compare it with\n", what)
}

// onMedium reports whether the bundle itself is at path, not somebody who reads
// it.
func onMedium(path string) bool {
	st, err := os.Stat(path)
	return path != bundle.StreamOutput && err == nil && st.Mode().IsRegular()
}

// streamTo gives a bundle that goes to standard output its stream, which has to
// be one that nobody reads with the eyes and nothing else is printed to.
func streamTo(cmd *cobra.Command, o *bundle.ExportOptions) error {
	if o.Output != bundle.StreamOutput || o.DryRun {
		return nil
	}
	o.Stream = plainStdout(cmd.OutOrStdout())
	if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
		return &bundle.UsageError{What: "--json and -o - both want standard output", Advice: "write the bundle to a named pipe"}
	}
	if f, ok := o.Stream.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return &bundle.UsageError{What: "standard output is a terminal", Advice: "pipe it into a program, or name a file with -o FILE"}
	}
	return nil
}

func printImages(p paper, images []reports.ImageRecord) {
	var rows [][]string
	for _, im := range images {
		rows = append(rows, []string{im.Reference, short(im.Digest.String()), size(im.Size), orDash(strings.Join(im.Platforms, ","))})
	}
	p.table([]string{"IMAGE", "DIGEST", "SIZE", "PLATFORMS"}, rows)
}

// printReduced says which digests a choice of platforms changed.
func printReduced(w paper, images []reports.ImageRecord) {
	for _, im := range images {
		if im.SourceDigest != "" {
			fmt.Fprintf(w, "reduced to %s: %s, was %s, is %s\n", strings.Join(im.Platforms, ","), im.Reference, short(im.SourceDigest.String()), short(im.Digest.String()))
		}
	}
}

// printSigned says by which keys images were signed.
func printSigned(w paper, images []reports.ImageRecord) {
	for _, im := range images {
		for _, key := range im.SignedBy {
			fmt.Fprintf(w, "signature verified: %s, by the public key %s\n", im.Reference, key)
		}
	}
}

// printNotes says what is not as it is with most images.
func printNotes(w paper, r *reports.Export) {
	printSigned(w, r.Images)
	for _, l := range r.Lacking {
		fmt.Fprintf(w, "lacks %s: %s, taken for %s\n", strings.Join(l.Lacks, ","), l.Reference, strings.Join(l.Takes, ","))
	}
	for _, l := range r.LeftBehind {
		fmt.Fprintf(w, "left behind: attestation %s of %s, which its registry does not serve\n", short(l.Digest.String()), l.Reference)
	}
	for _, l := range r.Elsewhere {
		from := ""
		if len(l.URLs) > 0 {
			from = ", though it is said to lie at " + l.URLs[0]
		}
		fmt.Fprintf(w, "taken from its registry: layer %s (%s) of %s%s\n", short(l.Digest.String()), l.MediaType, l.Reference, from)
	}
	printAccepted(w, r.Accepted)
}

// printAccepted says of what the user knows that it cannot be pulled.
func printAccepted(w paper, accepted []reports.Finding) {
	for _, f := range accepted {
		if f.Answer != "" {
			fmt.Fprintf(w, "answered with %s: %s (%s) in %s\n", f.Answer, f.Raw, f.Confidence, f.Where())
		} else {
			fmt.Fprintf(w, "ignored: %s (%s) in %s\n", f.Raw, f.Confidence, f.Where())
		}
	}
}

// printFetched says where charts came from that the user did not name.
func printFetched(w paper, fetched []reports.Fetched) {
	for _, f := range fetched {
		if f.Parent != "" {
			fmt.Fprintf(w, "fetched %s %s for %s from %s\n", f.Chart, f.Version, f.Parent, f.From)
		}
	}
}

// images counts images and what is attached to them.
func images(n, referrers int) string {
	if referrers == 0 {
		return count(n, "image")
	}
	return count(n, "image") + " with " + count(referrers, "referrer")
}

// count writes a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// short is a digest as people compare it: the algorithm and 12 digits.
func short(d string) string {
	if len(d) > 19 {
		return d[:19]
	}
	return d
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
