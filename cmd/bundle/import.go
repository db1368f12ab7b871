package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"bundle/bundle"
	"bundle/bundle/reports"
)

const importLong = `Verify a bundle, push what the registry lacks, and write for each chart the
values file with which Helm pulls everything from there, proved by rendering.

Nothing visible is written to the registry before every byte that is sent has
been verified. References that values cannot move are named, with exit code 6, and
so is what the registry refuses while it takes the rest.

A bundle in parts may be any mix of files, folders and mount points. What is missing
is named, with exit code 7: the same command with the next medium goes on.

With --blobs-only --shard I/N, N machines push one bundle at once; a last import
without them finishes.`

const importExample = `  # First what would happen, then the import. It ends with the commands that install.
  bundle import app.bundle.tar --registry registry.plant.local:5000/apps --key release-key.pub --dry-run
  bundle import app.bundle.tar --registry registry.plant.local:5000/apps --key release-key.pub

  # The key's fingerprint came on paper; a login and a CA of the registry's own.
  bundle import app.bundle.tar --registry registry.plant.local:5000/apps \
    --fingerprint "SHA256:45/n PnGS ZpVD mFgL v7yb +MLw pwcQ uaCb uCxA sYWi Zkg" \
    --username robot --password-stdin --ca-file ca.pem < password

  # One medium at a time, in any order: exit code 7 until all were there.
  bundle import /media/b --registry registry.plant.local:5000/apps --key release-key.pub
  bundle import /media/a --registry registry.plant.local:5000/apps --key release-key.pub

  # Another namespace, pods that pull with a secret, and a receipt for the audit.
  bundle import app.bundle.tar --registry registry.plant.local:5000/apps --key release-key.pub \
    -n production --pull-secret regcred --receipt receipt.json

  # For Git: objects for Flux, and the rendered manifests without generated Secrets.
  bundle import app.bundle.tar --registry registry.plant.local:5000/apps --key release-key.pub \
    --gitops flux --render manifests --render-secrets=omit

  # What values cannot move: the command that import prints has a post-renderer in it,
  # one line for Helm 3 and Helm 4.
  HELM_PLUGINS=app.import/helm4 helm upgrade --install app oci://registry.plant.local:5000/apps/charts/app \
    -f app.import/app/values.yaml --post-renderer bundle \
    --post-renderer-args postrender --post-renderer-args --map=app.import/app/rewrite.map`

func newImport() *cobra.Command {
	var (
		o          bundle.ImportOptions
		reg        registryFlags
		trust      trustFlags
		values     valuesFlags
		registry   string
		receiptKey string
		names      string
		shards     shardFlags
	)
	cmd := &cobra.Command{
		Use:     "import BUNDLE|FOLDER… --registry HOST[:PORT][/PREFIX] --key FILE.pub",
		Short:   "Verify a bundle, push it into a registry, and emit the values that use it",
		Long:    importLong,
		Example: importExample,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("render-secrets") && !cmd.Flags().Changed("render") {
				return &bundle.UsageError{What: "--render-secrets is for the folder of --render", Advice: "give --render FOLDER too"}
			}
			if err := cmp.Or(shards.check(cmd), without(cmd, [][]string{{"no-overwrite", "allow-older"}, {"dry-run", "receipt", "receipt-key", "render", "no-record"}})); err != nil {
				return err
			}
			if registry == "" {
				return &bundle.UsageError{What: "no registry to push to", Advice: "give --registry HOST[:PORT][/PREFIX]"}
			}
			o.More = args[1:]
			o.ValueFiles, o.Set, o.SetString = values.files, values.set, values.setString
			var err error
			if o.Registry, err = bundle.ParseRegistry(registry); err != nil {
				return err
			}
			if o.Names, err = bundle.ParseNaming(names); err != nil {
				return err
			}
			if o.Trust, err = trust.trust(cmd.Context()); err != nil {
				return err
			}
			if o.OutputDir == "" {
				o.OutputDir = strings.TrimSuffix(strings.TrimSuffix(bundle.NameOf(args[0]), ".tar"), ".bundle") + ".import"
			}
			if err := addReceipt(cmd, &o.Receipt, receiptKey); err != nil {
				return err
			}
			return runImport(cmd, args, &o, &reg, &shards)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&registry, "registry", "", "push to `HOST[:PORT][/PREFIX]`")
	fl.StringVar(&o.OutputDir, "output-dir", "", "write values files and reports into this `FOLDER` (default ./NAME.import, of NAME.bundle.tar)")
	addTarget(fl, &o)
	fl.StringVar(&o.Scratch, "scratch", "", "keep parts in this `FOLDER` that have to be there with others, for one drive: of cut layers, and for parity")
	fl.StringVar(&o.PullSecret, "pull-secret", "", "have pods pull with the secret `NAME`")
	addSecrets(cmd, &o)
	fl.StringVar(&o.RenderDir, "render", "", "write the rendered manifests into this `FOLDER` too, one file a resource")
	addGitOps(cmd, &o)
	addNames(cmd, &names)
	fl.StringArrayVar(&o.Exclude, "exclude", nil, "do not push `REF`, and leave it as it is in values (repeatable)")
	fl.BoolVar(&o.SkipCharts, "skip-charts", false, "do not push charts: put them beside their values")
	fl.BoolVar(&o.NoReferrers, "no-referrers", false, "do not push signatures, attestations and SBOMs")
	fl.BoolVar(&o.TagDigests, "tag-digests", false, "give what is named by digest alone a tag, digest-HEX, so that clean-up spares it")
	addRefusing(fl, &o)
	fl.BoolVar(&o.Deep, "deep", false, "read and hash what the registry says that it has already")
	fl.BoolVar(&o.DryRun, "dry-run", false, "check, compare and derive values, and write nothing")
	fl.Var(jobs(&o.Jobs), "jobs", fmt.Sprintf("`NUMBER` of transfers at once (default %d, or two for each medium)", bundle.DefaultJobs))
	fl.Var((*bytesFlag)(&o.ChunkSize), "chunk-size", "upload in requests of at most this `SIZE` (64M, 1G), for proxies that limit bodies")
	fl.StringVar(&o.Receipt.Path, "receipt", "", "write what was verified and pushed into this `FILE`, as JSON, for the audit")
	fl.StringVar(&receiptKey, "receipt-key", "", "sign the receipt with the private key in `FILE`, into RECEIPT.sig")
	shards.add(cmd)
	values.add(cmd)
	trust.add(cmd)
	reg.add(cmd, "the registry")
	return cmd
}

// addGitOps adds the flags for GitOps.
func addGitOps(cmd *cobra.Command, o *bundle.ImportOptions) {
	fl := cmd.Flags()
	fl.StringSliceVar(&o.GitOps, "gitops", nil, "write objects for GitOps beside the values: `KIND` is flux, argocd or kustomize (with commas, or repeatable)")
	fl.StringSliceVar(&o.Environments, "environment", nil, "`NAME` of an overlay of --gitops kustomize (default production,staging)")
}

// addTarget adds the flags that say what the charts are rendered for.
func addTarget(fl *pflag.FlagSet, o *bundle.ImportOptions) {
	fl.StringVar(&o.Release, "release-name", "", "render with this release `NAME` (default that of the export)")
	fl.StringVarP(&o.Namespace, "namespace", "n", "", "render for this `NAMESPACE` (default that of the export)")
	fl.StringVar(&o.KubeVersion, "kube-version", "", "render for this Kubernetes `VERSION` (default that of the export)")
	fl.StringArrayVar(&o.APIVersions, "api-versions", nil, "render as if the cluster had this `GROUP/VERSION` too (repeatable)")
}

// addRefusing adds the flags that say what is replaced, and what a refusal ends.
func addRefusing(fl *pflag.FlagSet, o *bundle.ImportOptions) {
	fl.BoolVar(&o.FailFast, "fail-fast", false, "end at the first thing that the registry refuses")
	fl.BoolVar(&o.AllowOlder, "allow-older", false, "replace what a newer bundle brought by this older one")
	fl.BoolVar(&o.NoOverwrite, "no-overwrite", false, "refuse to replace what a tag of the registry stands for")
	fl.BoolVar(&o.NoRecord, "no-record", false, "leave no record of this import in the registry")
}

// addSecrets adds the flag for Secrets among rendered manifests.
func addSecrets(cmd *cobra.Command, o *bundle.ImportOptions) {
	cmd.Flags().Func("render-secrets", "`keep|omit|omit-all`: in the folder of --render, keep Secrets, and name those with generated content; or leave those out; or all (default keep)", func(s string) error {
		which, ok := map[string]bundle.Secrets{"keep": bundle.KeepSecrets, "omit": bundle.OmitGenerated, "omit-all": bundle.OmitAll}[s]
		if !ok {
			return errors.New("want keep, omit or omit-all")
		}
		o.OmitSecrets = which
		return nil
	})
	_ = cmd.RegisterFlagCompletionFunc("render-secrets", cobra.FixedCompletions([]string{"keep", "omit", "omit-all"}, cobra.ShellCompDirectiveNoFileComp))
}

// addReceipt completes the options of the receipt.
func addReceipt(cmd *cobra.Command, o *bundle.ReceiptOptions, key string) (err error) {
	o.Tool = toolName()
	if key == "" {
		return nil
	}
	if o.Path == "" {
		return &bundle.UsageError{What: "--receipt-key without a receipt", Advice: "give --receipt FILE too"}
	}
	o.Signer, err = bundle.LoadSigner(cmd.Context(), key, keyOptions(cmd.Context(), cmd.ErrOrStderr(), key))
	return err
}

func runImport(cmd *cobra.Command, paths []string, o *bundle.ImportOptions, reg *registryFlags, shards *shardFlags) error {
	if shards.asked(cmd) {
		return shards.printJob(cmd, paths)
	}
	o.Progress = newProgress(cmd)
	var err error
	if o.RegistryOptions, err = reg.at(cmd, o.Registry.Host, o.Progress); err != nil {
		return err
	}
	o.Tool = toolName()
	if in, ok := cmd.InOrStdin().(*os.File); ok && term.IsTerminal(int(in.Fd())) {
		o.Swap = nextMedium(in, cmd.ErrOrStderr(), o.Scratch != "")
	}
	if shards.blobsOnly {
		return pushShare(cmd, paths[0], shards.share, o)
	}
	report, err := bundle.Import(cmd.Context(), paths[0], *o)
	if report == nil {
		return err
	}
	return output(cmd, importJSON(report, err), func(v view) { printImport(v.err, report, o.PullSecret) }, nil, err)
}

func pointing(n int, dryRun bool) string {
	switch {
	case dryRun:
		return count(n, "reference") + " would point"
	case n == 1:
		return "1 reference points"
	}
	return fmt.Sprintf("%d references point", n)
}

func printImport(p paper, r *reports.Import, pullSecret string) {
	if r.DryRun {
		fmt.Fprintln(p, "dry run: nothing is pushed, and no file is written")
	}
	fmt.Fprintf(p, "bundle %s, created %s\n", r.ID, r.Created.Format(time.RFC3339))
	printTrust(p, r.Vouched)
	printParts(p, r.Parts)
	if r.Missing != nil {
		fmt.Fprintf(p, "sent %s, there already %s\n", size(r.Bytes.Sent+r.Bytes.Mounted), size(r.Bytes.Present))
		return
	}
	var rows [][]string
	for _, im := range r.Images {
		rows = append(rows, []string{people(im.Source), "-> " + im.Target, became(im, r.DryRun)})
	}
	p.table(nil, rows)
	if r.DryRun {
		fmt.Fprintf(p, "%s would be sent, %s is there already\n", size(r.Bytes.Sent), size(r.Bytes.Present))
	} else {
		fmt.Fprintf(p, "sent %s, mounted %s, there already %s\n", size(r.Bytes.Sent), size(r.Bytes.Mounted), size(r.Bytes.Present))
	}
	for _, c := range r.Charts {
		printMoved(p, r, c, pullSecret)
	}
	for _, ref := range r.Excluded {
		fmt.Fprintf(p, "excluded: %s %s\n", ref, tense(r.DryRun, "was not pushed", "would not be pushed"))
	}
	for _, f := range r.Kept {
		fmt.Fprintf(p, "%s is of an earlier import, and was left there: somebody changed it\n", f)
	}
	for _, text := range r.Warnings {
		fmt.Fprintf(p, "warning: %s\n", text)
	}
	printEnd(p, r)
}

// became says what became of an image, with the digests of what changed.
func became(im reports.ImportImage, dryRun bool) string {
	text := string(im.State(dryRun))
	if im.Replaces != "" {
		text += " " + short(im.Replaces.String()) + " by " + short(im.Digest)
	}
	if im.SourceDigest != "" {
		text += ", reduced: was " + short(im.SourceDigest) + ", is " + short(im.Digest)
	}
	return text
}

// tense is what was done or, in a dry run, would be.
func tense(dryRun bool, done, would string) string {
	if dryRun {
		return would
	}
	return done
}

// printMoved says of one chart where it points to, and how it is installed.
func printMoved(p paper, r *reports.Import, c reports.ImportChart, pullSecret string) {
	fmt.Fprintf(p, "\n%s %s: %s to %s, proved by rendering%s\n", c.Name, c.Version, pointing(c.Moved, r.DryRun), r.Registry, andMore(c))
	if r.DryRun {
		printChanged(p, c)
		if len(c.Left) > 0 {
			printInstall(p, c, "it would be installed with")
		}
		return
	}
	if c.Archive != "" {
		fmt.Fprintf(p, "  %s, the chart\n", filepath.Join(r.OutputDir, c.Archive))
	}
	for _, f := range c.Files {
		fmt.Fprintf(p, "  %s\n", filepath.Join(r.OutputDir, f))
	}
	for _, f := range c.GitOps {
		fmt.Fprintf(p, "  %s\n", filepath.Join(r.OutputDir, f))
	}
	for _, f := range c.Excluded {
		fmt.Fprintf(p, "  excluded, and still outside: %s: %s\n", f.Raw, f.Where())
	}
	printChanged(p, c)
	printSecrets(p, c, pullSecret)
	printInstall(p, c, "install it with")
}

// printEnd says whether all is done.
func printEnd(w paper, r *reports.Import) {
	left, altered, refused := 0, 0, 0
	for _, c := range r.Charts {
		left += len(c.Left)
		altered += len(c.Altered)
	}
	for _, im := range r.Images {
		if im.Refused != "" {
			refused++
		}
	}
	switch {
	case r.DryRun && refused+left+altered > 0:
		fmt.Fprintln(w, "an import would not be complete, see below")
	case r.DryRun:
		fmt.Fprintln(w, "an import would be complete: the same command without --dry-run")
		fmt.Fprintln(w, "  layers were not read: bundle verify tells whether they are whole")
	case refused > 0:
		fmt.Fprintf(w, "not complete: the registry refused %s\n", count(refused, "name"))
	case left > 0:
		fmt.Fprintf(w, "all images are pushed, but this is not complete: %s left\n", count(left, "reference"))
	case altered > 0:
		fmt.Fprintf(w, "all images are pushed, but values change more than references: %s\n", count(altered, "thing"))
	default:
		fmt.Fprintln(w, "everything is in place: the medium is safe to remove")
	}
}

// andMore says what the proof does not cover.
func andMore(c reports.ImportChart) (s string) {
	switch n := len(c.Left); n {
	case 0:
	case 1:
		s = "; 1 is left"
	default:
		s = fmt.Sprintf("; %d are left", n)
	}
	if n := len(c.Altered); n > 0 {
		s += "; " + count(n, "thing") + " besides change"
	}
	return s
}

// printInstall says what installs the chart, how far that goes, and what goes
// further.
func printInstall(w paper, c reports.ImportChart, heading string) {
	fmt.Fprintln(w, heading)
	for _, line := range c.Commands {
		_ = w.command("  ", line)
	}
	three, four := strings.Join(c.Outside3, ", "), strings.Join(c.Outside4, ", ")
	if three == four && three != "" {
		fmt.Fprintf(w, "which leaves outside: %s\n", three)
	} else {
		for i, left := range []string{three, four} {
			if left != "" {
				fmt.Fprintf(w, "which leaves outside, with Helm %d: %s\n", 3+i, left)
			}
		}
	}
	if c.Kustomize != "" && three+four != "" {
		fmt.Fprintln(w, "or, with hooks as ordinary resources")
		_ = w.command("  ", c.Kustomize)
	}
	if len(c.Stuck) > 0 {
		fmt.Fprintf(w, "no way is left for: %s\n", strings.Join(c.Stuck, ", "))
	}
}

// printChanged says what the values change besides references.
func printChanged(w paper, c reports.ImportChart) {
	for _, line := range c.Named {
		fmt.Fprintf(w, "  still names a registry, though no image of it: %s\n", line)
	}
	for _, line := range c.Changed {
		fmt.Fprintf(w, "  changes too: %s\n", line)
	}
	for _, key := range c.Unlocked {
		fmt.Fprintf(w, "  switched on, since the chart asks for it before it takes other images: %s\n", key)
	}
	for _, line := range c.Remarks {
		fmt.Fprintf(w, "  warning: %s\n", line)
	}
	if c.Short {
		fmt.Fprintf(w, "  the search for values ended after %s: others may move more\n", count(c.Renders, "render"))
	}
	for _, line := range c.Warnings {
		fmt.Fprintf(w, "  warning: %s\n", line)
	}
}

// printSecrets says which pods pull with the secret, and how to make it.
func printSecrets(w paper, c reports.ImportChart, name string) {
	if name == "" {
		return
	}
	fmt.Fprintf(w, "%s with secret %s\n", count(c.Secrets, "pod spec"), name)
	for _, l := range c.SecretsLeft {
		fmt.Fprintf(w, "  without it: %s\n", l)
	}
}
