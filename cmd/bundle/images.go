package main

import (
	"fmt"
	"strings"

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
		Example: `  bundle images ./chart
  bundle images oci://ghcr.io/wasmcloud/charts/runtime-operator --version 2.7.0 -q
  bundle images nginx --repo https://charts.example.com --disabled`,
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
			return output(cmd, imagesJSON(report), func(v view) { printFindings(v, report) }, nil, nil)
		},
	}
	cmd.Flags().BoolVar(&disabled, "disabled", false, "list too what appears when a component that is off is switched on")
	chart.add(cmd)
	reg.addMirrors(cmd)
	reg.add(cmd, "the chart repository of --repo")
	return cmd
}

func printFindings(v view, r *bundle.ImagesReport) {
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
