package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bundle/bundle"
	"bundle/bundle/reports"
)

func newSign() *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use:   "sign BUNDLE --key FILE",
		Short: "Add a signature to a bundle, in a file beside it",
		Long: `Add a signature to a bundle, in a file beside it: BUNDLE.KEY.sig. Carry it along;
verify and import find it, and --require N there demands N distinct signers.

Who signs vouches for the content: every byte is checked before, and a bundle
that is not whole is not signed. Whether to believe those who signed before is
not asked here; bundle verify does that. The bundle itself is not touched.

A SHA256SUMS is signed too, after the files beside it that it names were checked: the
signature is SHA256SUMS.sig.`,
		Example: `  bundle sign app.bundle.tar --key second-key
  bundle verify app.bundle.tar --allowed-signers allowed_signers --require 2`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if key == "" {
				return &bundle.UsageError{What: "no key to sign with", Advice: "give --key FILE; `bundle keygen` makes one"}
			}
			signer, err := bundle.LoadSigner(cmd.Context(), key, keyOptions(cmd.Context(), cmd.ErrOrStderr(), key))
			if err != nil {
				return err
			}
			pr := newProgress(cmd)
			report, err := bundle.Sign(cmd.Context(), args[0], signer, pr)
			if err != nil {
				return err
			}
			return output(cmd, signJSON(report), func(v view) { printSign(v.err, report) }, nil, nil)
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "sign with this OpenSSH private key `FILE`, or with a .pub or certificate whose private key the ssh-agent holds")
	return cmd
}

func printSign(w paper, r *reports.Sign) {
	if r.Files != nil {
		fmt.Fprintf(w, "%s: %s are what it says\n", r.Path, count(len(r.Files), "file"))
	} else {
		fmt.Fprintf(w, "%s: whole: id %s, created %s, %s\n", r.Path, r.ID, r.Created.Format(time.RFC3339),
			strings.Join(append(r.Charts, count(r.Images, "image")), ", "))
	}
	for _, o := range r.Others {
		fmt.Fprintf(w, "signed already by %s, not checked for trust\n", o.Fingerprint)
	}
	if r.Already {
		fmt.Fprintf(w, "signed already by this key, %s: %s\n", r.Fingerprint, r.Signature)
		return
	}
	printFingerprint(w, "signed with ", r.Fingerprint)
	fmt.Fprintf(w, "  %s\n", r.Signature)
}
