package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bundle/bundle"
	"bundle/bundle/reports"
)

func newInspect() *cobra.Command {
	var (
		trust         trustFlags
		html, against string
	)
	cmd := &cobra.Command{
		Use:   "inspect BUNDLE|FOLDER…",
		Short: "Show what a bundle holds",
		Long: `Show what a bundle holds: charts, images with digests, platforms and sizes, and
the key that signed it. Without a trusted key the bundle is shown as it claims
to be; use verify to check it.

--html FILE writes the same as a page for the person who decides whether it comes in:
one file that loads nothing and prints well. --against OLDER tells what is new,
replaced or gone.`,
		Example: `  bundle inspect app.bundle.tar
  bundle inspect app.bundle.tar --html app.html --against last-month.bundle.tar
  bundle inspect app.bundle.tar --json | jq -r '.images[].reference'`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var t *bundle.Trust
			if trust.given() {
				var err error
				if t, err = trust.trust(cmd.Context()); err != nil {
					return err
				}
			}
			report, err := bundle.Inspect(cmd.Context(), args[0], t, args[1:]...)
			if err != nil {
				return err
			}
			if against != "" && html == "" {
				return &bundle.UsageError{What: "--against is for the page of --html", Advice: "give both"}
			}
			if html != "" {
				var changes *reports.Diff
				if against != "" {
					if changes, err = bundle.Diff(cmd.Context(), against, report.Path, nil); err != nil {
						return err
					}
				}
				if printed, err := writePage(cmd, html, report, changes); printed || err != nil {
					return err
				}
			}
			return output(cmd, inspectJSON(report), func(v view) { printInspect(v.out, report) }, func(w io.Writer) {
				for _, im := range report.Images {
					fmt.Fprintln(w, im.Reference)
				}
			}, nil)
		},
	}
	trust.addFor(cmd, true)
	cmd.Flags().StringVar(&html, "html", "", "write a page for people to `FILE`, too; - prints it in the place of the report")
	cmd.Flags().StringVar(&against, "against", "", "compare with this older `BUNDLE` on the page, as it claims to be")
	return cmd
}

// writePage writes the page of a bundle to a file, whole or not at all; or to standard
// output, in the place of the report.
func writePage(cmd *cobra.Command, path string, report *reports.Inspect, changes *reports.Diff) (printed bool, err error) {
	if path == bundle.StreamOutput && asJSON(cmd) {
		return false, &bundle.UsageError{What: "--json and --html - both want standard output", Advice: "write the page to a file"}
	}
	doc, err := bundle.Page(report, changes)
	if err != nil {
		return false, err
	}
	if path != bundle.StreamOutput {
		return false, bundle.WriteFile(path, doc)
	}
	_, err = cmd.OutOrStdout().Write(doc)
	return true, err
}

func printInspect(w paper, r *reports.Inspect) {
	if !r.Checked {
		fmt.Fprintln(w, "NOT VERIFIED: what follows is what the file claims; bundle verify checks it")
	}
	fmt.Fprintf(w, "bundle   %s (%s, format %d)\n", r.Path, size(r.Size), r.FormatVersion)
	fmt.Fprintf(w, "id       %s\n", r.ID)
	fmt.Fprintf(w, "created  %s by %s\n", r.Created.Format(time.RFC3339), r.Tool)
	if r.Serial > 0 {
		fmt.Fprintf(w, "serial   %d\n", r.Serial)
	}
	if !r.Expires.IsZero() {
		fmt.Fprintf(w, "expires  %s\n", r.Expires.Format(time.RFC3339))
	}
	switch {
	case r.Checked:
		for _, s := range r.Signers {
			fmt.Fprintf(w, "signed   by %s (%s), trusted\n", s.Fingerprint, s.KeyType)
		}
	case !r.Signed:
		fmt.Fprintln(w, "signed   no")
	default:
		fmt.Fprintf(w, "signed   by %s (%s), not checked\n", r.Key, r.KeyType)
		fmt.Fprintf(w, "         to compare with what the sender reads aloud: %s\n", inGroups(r.Key))
	}
	if r.Parts != nil {
		fmt.Fprintf(w, "parts    %s\n", partsHere(r.Parts))
	}
	printRequires(w, r.Requires)
	for _, c := range r.Charts {
		fmt.Fprintf(w, "chart    %s %s from %s\n", c.Name, c.Version, c.Source)
	}
	fmt.Fprintln(w)
	printImages(w, r.Images)
	printReduced(w, r.Images)
	printSigned(w, r.Images)
	for _, a := range r.Referrers {
		fmt.Fprintf(w, "attached to %s: %s (%s)\n", short(a.Subject.String()), a.Reference, size(a.Size))
	}
	for _, c := range r.Charts {
		if len(c.LeftOut) > 0 {
			fmt.Fprintf(w, "values of %s that were left out: %s\n", c.Name, strings.Join(c.LeftOut, ", "))
		}
	}
	for _, f := range r.Unresolved {
		fmt.Fprintf(w, "not inside: %s (%s) in %s\n", f.Raw, f.Confidence, f.Where())
	}
	printAccepted(w, r.Accepted)
}
