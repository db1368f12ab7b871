package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"bundle/bundle"
	"bundle/bundle/reports"
)

func newVerify() *cobra.Command {
	var trust trustFlags
	cmd := &cobra.Command{
		Use:   "verify BUNDLE|FOLDER… --key FILE.pub",
		Short: "Check signatures, set of entries, graph, charts and every byte of a bundle",
		Long: `Check signatures, set of entries, graph, charts and every byte of a bundle.

A SHA256SUMS, as a release of this program has it and READ-ME-FIRST.sha256 is, is
checked with SHA256SUMS.sig and the files beside it that it names.`,
		Example: `  bundle verify app.bundle.tar --key release-key.pub
  bundle verify app.bundle.tar --fingerprint "SHA256:45/n PnGS ZpVD mFgL v7yb +MLw pwcQ uaCb uCxA sYWi Zkg"
  bundle verify app.bundle.tar --allowed-signers /etc/bundle/allowed_signers --require 2
  bundle verify SHA256SUMS --key maker.pub`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := trust.trust(cmd.Context())
			if err != nil {
				return err
			}
			pr := newProgress(cmd)
			report, err := bundle.Verify(cmd.Context(), args[0], t, pr, args[1:]...)
			if report == nil {
				return err
			}
			return output(cmd, verifyJSON(report), func(v view) {
				if report.Files != nil {
					printListed(v.err, report)
					return
				}
				printVerify(v.err, report)
			}, nil, err)
		},
	}
	trust.add(cmd)
	return cmd
}

func printVerify(w paper, r *reports.Verify) {
	state := "whole"
	if r.Missing != nil {
		state = "whole as far as it is there"
	}
	fmt.Fprintf(w, "%s: %s: %d entries, %s, id %s, created %s\n", r.Path, state, r.Entries, size(r.Bytes), r.ID, r.Created.Format(time.RFC3339))
	printRequires(w, r.Requires)
	if r.Lent > 0 {
		fmt.Fprintf(w, "         %d of them are whole in the bundles beside it\n", r.Lent)
	}
	printTrust(w, r.Vouched)
	printParts(w, r.Parts)
}

// printListed says what a list of checksums vouches for.
func printListed(w paper, r *reports.Verify) {
	missing := len(r.Files) - r.Entries
	for _, f := range r.Files {
		switch {
		case !f.Missing:
			fmt.Fprintf(w, "  whole: %s, %s\n", f.Path, size(f.Size))
		case missing <= 3: // a release has files for many systems, of which people want one
			fmt.Fprintf(w, "  not here: %s\n", f.Path)
		}
	}
	fmt.Fprintf(w, "%s: %d of %s are here, and are what it says\n", r.Path, r.Entries, count(len(r.Files), "file"))
	printTrust(w, r.Vouched)
}
