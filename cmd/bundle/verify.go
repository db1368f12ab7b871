package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"bundle/bundle"
)

func newVerify() *cobra.Command {
	var trust trustFlags
	cmd := &cobra.Command{
		Use:   "verify BUNDLE|FOLDER… --key FILE.pub",
		Short: "Check signatures, set of entries, graph, charts and every byte of a bundle",
		Example: `  bundle verify app.bundle.tar --key release-key.pub
  bundle verify app.bundle.tar --fingerprint "SHA256:45/n PnGS ZpVD mFgL v7yb +MLw pwcQ uaCb uCxA sYWi Zkg"
  bundle verify app.bundle.tar --allowed-signers /etc/bundle/allowed_signers --require 2`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := trust.trust(cmd.Context())
			if err != nil {
				return err
			}
			pr, err := newProgress(cmd)
			if err != nil {
				return err
			}
			report, err := bundle.Verify(cmd.Context(), args[0], t, pr, args[1:]...)
			if report == nil {
				return err
			}
			return output(cmd, verifyJSON(report), func(v view) {
				w := v.err
				state := "whole"
				if report.Missing != nil {
					state = "whole as far as it is there"
				}
				fmt.Fprintf(w, "%s: %s: %d entries, %s, id %s, created %s\n", report.Path, state, report.Entries, size(report.Bytes),
					report.ID, report.Created.Format(time.RFC3339))
				printRequires(w, report.Requires)
				if report.Lent > 0 {
					fmt.Fprintf(w, "         %d of them are whole in the bundles beside it\n", report.Lent)
				}
				printTrust(w, report.Vouched)
				printParts(w, report.Parts)
			}, nil, err)
		},
	}
	trust.add(cmd)
	return cmd
}
