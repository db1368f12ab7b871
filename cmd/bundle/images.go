package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"bundle/bundle"
)

func newImages() *cobra.Command {
	var chart chartFlags
	var reg registryFlags
	var disabled bool
	cmd := &cobra.Command{
		Use:   "images CHART",
		Short: "List every image reference of a chart, and the values key that moves it",
		Long: `List every image reference of a chart: where it stands, how sure it is that it is
one, and which values key moves it. Needs no network beyond reading the chart.

Confidence is image (can be pulled as it stands), repository (no tag or digest: a
program completes it at run time) or placeholder (names no image).`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec, err := chart.chart(cmd, &reg, args[0])
			if err != nil {
				return err
			}
			o, err := reg.options()
			if err != nil {
				return err
			}
			pr, err := newProgress(cmd)
			if err != nil {
				return err
			}
			o.Waiting = told(pr)
			report, err := bundle.Images(cmd.Context(), spec, disabled, o)
			if err != nil {
				return err
			}
			return output(cmd, report, func(v view) { printFindings(v, report) }, nil, nil)
		},
	}
	cmd.Flags().BoolVar(&disabled, "disabled", false, "list too what appears when a component that is off is switched on")
	chart.add(cmd)
	reg.addMirrors(cmd)
	reg.add(cmd, "the chart repository of --repo")
	return cmd
}

func printFindings(v view, r *bundle.ImagesReport) {
	t := tabwriter.NewWriter(v.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "REFERENCE\tCONFIDENCE\tMOVED BY\tSEEN IN")
	for _, f := range r.Found {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", f.Raw, f.Confidence, orDash(strings.Join(f.Keys, ",")), f.Where())
	}
	for _, d := range r.Disabled {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", d.Raw, d.Confidence, "with "+strings.Join(d.Switch, ","), d.Where())
	}
	t.Flush() //nolint:errcheck // the writer below reports
	if n := len(r.Failed) + r.Untried; n > 0 {
		fmt.Fprintf(v.err, "%d switches could not be tried: %s\n", n, strings.Join(r.Failed, ", "))
	}
}
