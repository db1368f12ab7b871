package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"bundle/bundle"
	"bundle/bundle/reports"
)

// diffFlags are those of bundle diff.
type diffFlags struct {
	trust    trustFlags
	reg      registryFlags
	registry string
	names    string
	html     string
	exitCode bool
	o        bundle.RegistryDiffOptions
}

func newDiff() *cobra.Command {
	var f diffFlags
	cmd := &cobra.Command{
		Use:   "diff BUNDLE [NEWER] [--registry HOST[:PORT][/PREFIX]]",
		Short: "Show what changes from one bundle to another, or in a registry",
		Long: `Show what changes from one bundle to a newer one: charts with their versions, the
values given and the defaults of the charts; images that are new, gone, or something
else under the same name; and what a bundle without the layers of the older one would
weigh. Each is a file, a folder with parts, one part, or a head: no layer is read.
Without a trusted key both are taken as they claim to be.

With --registry, show what an import of the one bundle would change there. The right
to read is enough.

--html FILE writes the newer bundle as a page for the person who decides, with what is
new in it. With --exit-code, the exit code is 6 where anything differs.`,
		Example: `  bundle diff last-month.bundle.tar app.bundle.tar
  bundle diff last-month.bundle.tar.head app.bundle.tar --html changes.html
  bundle diff app.bundle.tar --registry registry.plant.local:5000/apps --exit-code`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	fl := cmd.Flags()
	f.trust.addFor(cmd, true)
	fl.StringVar(&f.html, "html", "", "write a page for people to `FILE`, too; - prints it in the place of the report")
	fl.BoolVar(&f.exitCode, "exit-code", false, "end with exit code 6 where anything differs")
	fl.StringVar(&f.registry, "registry", "", "compare with what the registry `HOST[:PORT][/PREFIX]` has")
	addNames(cmd, &f.names)
	fl.BoolVar(&f.o.SkipCharts, "skip-charts", false, "leave out charts, as import --skip-charts does")
	fl.BoolVar(&f.o.NoReferrers, "no-referrers", false, "leave out signatures, SBOMs and other referrers of images")
	fl.BoolVar(&f.o.TagDigests, "tag-digests", false, "as import --tag-digests names what is pulled by digest")
	f.o.Jobs = bundle.DefaultJobs
	fl.Var(jobs(&f.o.Jobs), "jobs", "`NUMBER` of questions at once")
	f.reg.add(cmd, "the registry")
	return cmd
}

func (f *diffFlags) run(cmd *cobra.Command, args []string) error {
	var t *bundle.Trust
	if f.trust.given() {
		var err error
		if t, err = f.trust.trust(cmd.Context()); err != nil {
			return err
		}
	}
	switch {
	case f.registry == "" && len(args) == 1:
		return &bundle.UsageError{What: "nothing to compare with", Advice: "name a newer bundle, or a registry with --registry"}
	case f.registry != "" && len(args) == 2:
		return &bundle.UsageError{What: "two bundles, and a registry", Advice: "name one bundle, or drop --registry"}
	case f.registry != "":
		return f.withRegistry(cmd, args[0], t)
	}
	for _, name := range []string{"names", "skip-charts", "no-referrers", "tag-digests"} {
		if cmd.Flags().Changed(name) {
			return &bundle.UsageError{What: "--" + name + " is for --registry", Advice: "give both, or neither"}
		}
	}
	report, err := bundle.Diff(cmd.Context(), args[0], args[1], t)
	if err != nil {
		return err
	}
	if f.html != "" {
		printed, err := writePage(cmd, f.html, report.New, report)
		if err != nil {
			return err
		}
		if printed {
			return f.judge(report.Err())
		}
	}
	return output(cmd, diffJSON(report), func(v view) { printDiff(v.out, report) }, func(w io.Writer) {
		for _, c := range report.Changes.Charts {
			fmt.Fprintln(w, c.Name)
		}
		for _, im := range report.Changes.Images {
			fmt.Fprintln(w, im.Reference)
		}
	}, f.judge(report.Err()))
}

// judge is the error that --exit-code asks for.
func (f *diffFlags) judge(err error) error {
	if !f.exitCode {
		return nil
	}
	return err
}

func (f *diffFlags) withRegistry(cmd *cobra.Command, path string, t *bundle.Trust) error {
	if f.html != "" {
		return &bundle.UsageError{What: "--html is for two bundles", Advice: "bundle inspect --html writes a page of one"}
	}
	var err error
	if f.o.Registry, err = bundle.ParseRegistry(f.registry); err != nil {
		return err
	}
	if f.o.Names, err = bundle.ParseNaming(f.names); err != nil {
		return err
	}
	f.o.Progress, f.o.Trust = newProgress(cmd), t
	if f.o.RegistryOptions, err = f.reg.at(cmd, f.o.Registry.Host, f.o.Progress); err != nil {
		return err
	}
	report, err := bundle.DiffRegistry(cmd.Context(), path, f.o)
	if err != nil {
		return err
	}
	return output(cmd, registryDiffJSON(report), func(v view) { printRegistryDiff(v.out, report) }, func(w io.Writer) {
		for _, im := range report.Images {
			if im.Pushed {
				fmt.Fprintln(w, im.Target)
			}
		}
	}, f.judge(report.Err()))
}

// printSide says which bundle it is.
func printSide(w paper, what string, r *reports.Inspect) {
	fmt.Fprintf(w, "%s  %s: id %s, created %s, %s", what, r.Path, r.ID, r.Created.Format("2006-01-02 15:04:05Z"), size(r.Size))
	if r.Serial > 0 {
		fmt.Fprintf(w, ", serial %d", r.Serial)
	}
	switch {
	case r.Checked && len(r.Signers) > 0:
		fmt.Fprintf(w, ", signed by %s\n", r.Signers[0].Fingerprint)
	case r.Signed:
		fmt.Fprintf(w, ", signature by %s not checked\n", r.Key)
	default:
		fmt.Fprintln(w, ", not signed")
	}
}

func printDiff(w paper, r *reports.Diff) {
	printSide(w, "old", r.Old)
	printSide(w, "new", r.New)
	c := r.Changes
	for _, ch := range c.Charts {
		fmt.Fprintln(w)
		printChartChange(w, ch)
	}
	if len(c.Images) > 0 {
		fmt.Fprintln(w)
		printImageChanges(w, c.Images)
	}
	fmt.Fprintf(w, "\nthe same: %s, %s\n", count(c.SameCharts, "chart"), count(c.SameImages, "image"))
	if n := c.Referrers; n.Added+n.Removed > 0 {
		fmt.Fprintf(w, "attached to images: %d new, %d gone, %d the same\n", n.Added, n.Removed, n.Same)
	}
	fmt.Fprintf(w, "without the layers of the old one, the new one weighs about %s, in place of %s:\n", size(c.Weight.Delta), size(c.Weight.Full))
	fmt.Fprintf(w, "  %s new (%s), %s there already (%s)\n",
		count(c.Weight.Layers.Count, "layer"), size(c.Weight.Layers.Bytes), count(c.Weight.Kept.Count, "layer"), size(c.Weight.Kept.Bytes))
}

func printChartChange(w paper, c reports.ChartChange) {
	switch {
	case c.Version == "":
		fmt.Fprintf(w, "chart %s %s: %s\n", c.Name, c.PreviousVersion, c.State)
		return
	case c.PreviousVersion == "":
		fmt.Fprintf(w, "chart %s %s: %s\n", c.Name, c.Version, c.State)
	case c.Version != c.PreviousVersion:
		fmt.Fprintf(w, "chart %s: %s, was %s\n", c.Name, c.Version, c.PreviousVersion)
	case c.Digest != c.PreviousDigest:
		fmt.Fprintf(w, "chart %s %s: other content under the same version\n", c.Name, c.Version)
	default:
		fmt.Fprintf(w, "chart %s %s: the same, rendered otherwise\n", c.Name, c.Version)
	}
	if c.PreviousVersion != "" && c.AppVersion != c.PreviousAppVersion {
		fmt.Fprintf(w, "  application: %s, was %s\n", orNone(c.AppVersion), orNone(c.PreviousAppVersion))
	}
	if c.Short {
		fmt.Fprintln(w, "  the defaults of its dependencies are too many to be compared")
	}
	for _, part := range []struct {
		title  string
		values []reports.ValueChange
	}{{"rendered with", c.Inputs}, {"values given", c.Given}, {"defaults", c.Defaults}} {
		if len(part.values) > 0 {
			fmt.Fprintf(w, "  %s:\n", part.title)
		}
		for _, v := range part.values {
			switch v.State {
			case reports.Added:
				fmt.Fprintf(w, "    %s: %s, new\n", v.Key, valueText(v.Value))
			case reports.Removed:
				fmt.Fprintf(w, "    %s: gone, was %s\n", v.Key, valueText(v.Previous))
			default:
				fmt.Fprintf(w, "    %s: %s, was %s\n", v.Key, valueText(v.Value), valueText(v.Previous))
			}
		}
	}
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// maxValueText is how much of a setting people are shown, in characters; --json has
// all of it.
const maxValueText = 300

// valueText is a setting as JSON, so that a text is told from a number.
func valueText(v any) string {
	text := fmt.Sprint(v)
	if b, err := json.Marshal(v); err == nil {
		text = string(b)
	}
	if r := []rune(text); len(r) > maxValueText {
		return fmt.Sprintf("%s… (%d characters in all)", string(r[:maxValueText]), len(r))
	}
	return text
}

func printImageChanges(w paper, images []reports.ImageChange) {
	var rows [][]string
	for _, im := range images {
		digest, weight := short(im.Digest.String()), size(im.Size)
		switch im.State {
		case reports.Changed:
			digest, weight = digest+", was "+short(im.Previous.String()), weight+", was "+size(im.PreviousSize)
		case reports.Removed:
			digest, weight = short(im.Previous.String()), size(im.PreviousSize)
		}
		name := im.Reference
		if im.Instead != "" {
			name += " (was " + im.Instead[strings.LastIndexAny(im.Instead, ":@")+1:] + ")"
		}
		rows = append(rows, []string{string(im.State), name, digest, weight, size(im.Moves)})
	}
	w.table([]string{"STATE", "IMAGE", "DIGEST", "SIZE", "NEW LAYERS"}, rows)
}

func printRegistryDiff(w paper, r *reports.RegistryDiff) {
	printSide(w, "bundle", r.Bundle)
	fmt.Fprintln(w)
	var rows [][]string
	same := 0
	for _, im := range r.Images {
		if !im.Pushed {
			same++
			continue
		}
		digest := short(im.Digest)
		if im.Replaces != "" {
			digest += ", there is " + short(im.Replaces.String())
		}
		rows = append(rows, []string{string(im.State(true)), im.Target, digest})
	}
	if len(rows) > 0 {
		w.table([]string{"AN IMPORT", "NAME", "DIGEST"}, rows)
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "%s has %d of %s; %s would be sent, %s are there\n", r.Registry, same, count(len(r.Images), "name"), size(r.Bytes.Sent), size(r.Bytes.Present))
	if r.Lack != nil {
		fmt.Fprintf(w, "%s, %s, that this delta requires are not there: an import needs the older bundle too\n", count(len(r.Lack.Layers), "layer"), size(r.Lack.Bytes))
	}
}
