package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bundle/bundle"
	"bundle/bundle/reports"
)

// imagesFlags are those of bundle images alone.
type imagesFlags struct {
	disabled bool
	mirror   string // file
	registry string
	names    string
}

func newImages() *cobra.Command {
	var (
		chart chartFlags
		reg   registryFlags
		f     imagesFlags
	)
	cmd := &cobra.Command{
		Use:   "images [CHART]",
		Short: "List every image reference of a chart, and the values key that moves it",
		Long: `List every image reference of a chart: where it stands, how sure it is that it is
one, and which values key moves it. Needs no network beyond reading the chart.
With --config, list those of all charts and images in that file.

Confidence is image (can be pulled as it stands), repository (no tag or digest: a
program completes it at run time) or placeholder (names no image).

With -q, print one image a line, named in full. With -o FILE, write a mirror.yaml of
sources and, with --registry, destinations; with -o hauler, zarf or text, print the
list for those tools, charts included, or as plain text.`,
		Example: `  bundle images ./chart
  bundle images oci://ghcr.io/wasmcloud/charts/runtime-operator --version 2.7.0 -q
  bundle images ./chart --registry registry.plant.local:5000 -o mirror.yaml
  bundle images oci://ghcr.io/acme/charts/app --version 1.2.3 -o hauler > hauler.yaml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			specs, named, err := chart.all(cmd, &reg, args)
			if err != nil {
				return err
			}
			o, err := reg.options()
			if err != nil {
				return err
			}
			pr := newProgress(cmd)
			o.Waiting = told(pr)
			report, err := bundle.Images(cmd.Context(), specs, f.disabled, o)
			if err != nil {
				return err
			}
			for _, ref := range named {
				report.Found = append(report.Found, reports.Finding{Raw: ref, Confidence: "image"})
			}
			report.NotTaken = chart.notTaken
			j := imagesJSON(report)
			if slices.Contains(otherLists, f.mirror) {
				return f.print(cmd, report, j)
			}
			if err := f.write(j); err != nil {
				return err
			}
			return output(cmd, j, func(v view) {
				printNotTaken(v.err, report.NotTaken)
				if f.mirror == "" {
					printFindings(v, report)
				}
			}, func(w io.Writer) {
				for _, im := range j.Images {
					fmt.Fprintln(w, im.Reference)
				}
			}, nil)
		},
	}
	fl := cmd.Flags()
	fl.BoolVar(&f.disabled, "disabled", false, "list too what appears when a component that is off is switched on")
	fl.StringVarP(&f.mirror, "output", "o", "", "write the list as a mirror.yaml into `FILE`, or, where that is hauler, zarf or text, print what that tool reads, or plain text")
	fl.StringVar(&f.registry, "registry", "", "with -o: destinations in `HOST[:PORT][/PREFIX]`")
	addNames(cmd, &f.names)
	chart.add(cmd)
	chart.addConfig(cmd)
	reg.addMirrors(cmd)
	reg.add(cmd, "the chart repository of --repo")
	return cmd
}

// otherLists are what -o prints, where it names no file.
var otherLists = []string{"hauler", "zarf", "text"}

// print writes the list for another tool to standard output.
func (f *imagesFlags) print(cmd *cobra.Command, r *reports.Images, j *jsonImages) error {
	if f.registry != "" || asJSON(cmd) {
		return &bundle.UsageError{What: "--registry and --json mean nothing with -o " + f.mirror, Advice: "drop them"}
	}
	var refs []string
	for _, im := range j.Images {
		refs = append(refs, im.Reference)
	}
	text, err := bundle.WriteList(f.mirror, r, refs)
	if err != nil {
		return err
	}
	printNotTaken(paper{plainText{cmd.ErrOrStderr()}, columns(cmd.ErrOrStderr())}, r.NotTaken)
	_, err = cmd.OutOrStdout().Write(text)
	return err
}

// printNotTaken says what a list of another tool has besides.
func printNotTaken(p paper, all []string) {
	for _, text := range all {
		fmt.Fprintf(p, "warning: %s\n", text)
	}
}

// write writes a mirror.yaml, as export --config takes it.
func (f *imagesFlags) write(j *jsonImages) error {
	if f.mirror == "" {
		if f.registry != "" {
			return &bundle.UsageError{What: "--registry means nothing without -o", Advice: "give -o mirror.yaml too"}
		}
		return nil
	}
	var b strings.Builder
	b.WriteString("images:\n")
	for _, im := range j.Images {
		fmt.Fprintf(&b, "  - source: %s\n", im.Reference)
		if f.registry == "" {
			continue
		}
		r, err := bundle.ParseRegistry(f.registry)
		if err != nil {
			return err
		}
		names, err := bundle.ParseNaming(f.names)
		if err != nil {
			return err
		}
		var targets []string
		for _, found := range im.Found {
			if t := bundle.TargetName(found.Reference, r, names); !slices.Contains(targets, t) {
				targets = append(targets, t)
			}
		}
		fmt.Fprintf(&b, "    destination: %s\n", targets[0])
	}
	return bundle.WriteFile(f.mirror, []byte(b.String()))
}

func printFindings(v view, r *reports.Images) {
	var rows [][]string
	for _, f := range r.Found {
		rows = append(rows, []string{f.Raw, f.Confidence, orDash(strings.Join(f.Keys, ",")), f.Where()})
	}
	for _, d := range r.Disabled {
		rows = append(rows, []string{d.Raw, d.Confidence, "with " + strings.Join(d.Switch, ","), d.Where()})
	}
	v.out.table([]string{"REFERENCE", "CONFIDENCE", "MOVED BY", "SEEN IN"}, rows)
	if n := len(r.Failed) + r.Untried; n > 0 {
		fmt.Fprintf(v.err, "%d switches could not be tried: %s\n", n, strings.Join(r.Failed, ", "))
	}
}
