package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"bundle/bundle"
)

func newKeygen() *cobra.Command {
	var comment string
	var noPassphrase bool
	cmd := &cobra.Command{
		Use:   "keygen FILE",
		Short: "Make an OpenSSH Ed25519 key pair for signing bundles",
		Long: `Make an OpenSSH Ed25519 key pair for signing bundles: FILE and FILE.pub. It is an
ordinary one, as ssh-keygen -t ed25519 makes; any SSH key you have will do too.
Carry FILE.pub to the isolated network by another route than the bundles, or tell
them the fingerprint: bundle verify --fingerprint takes it.`,
		Example: `  bundle keygen release-key -C release@example.com
  bundle keygen ci-key --no-passphrase`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var passphrase func() ([]byte, error)
			if !noPassphrase {
				passphrase = func() ([]byte, error) { return newPassphrase(cmd, args[0]) }
			}
			fp, err := bundle.Keygen(args[0], comment, passphrase)
			if err != nil {
				return err
			}
			report := &jsonKeygen{args[0], args[0] + ".pub", fp}
			return output(cmd, report, func(v view) {
				fmt.Fprintf(v.err, "private key %s, public key %s.pub\n", args[0], args[0])
				printFingerprint(v.err, "fingerprint ", fp)
			}, nil, nil)
		},
	}
	cmd.Flags().StringVarP(&comment, "comment", "C", "bundle", "`TEXT` in the public key, for example a mail address")
	cmd.Flags().BoolVar(&noPassphrase, "no-passphrase", false, "leave the private key unencrypted, for machines")
	return cmd
}

// newPassphrase asks twice; an empty one is the user's choice.
func newPassphrase(cmd *cobra.Command, path string) ([]byte, error) {
	ask := func(prompt string) ([]byte, error) {
		p, err := askPassphrase(cmd.Context(), cmd.ErrOrStderr(), prompt)
		if err != nil && !errors.Is(err, context.Canceled) {
			err = &bundle.UsageError{What: "key " + path + ": " + err.Error(), Advice: "use --no-passphrase where nobody can be asked"}
		}
		return p, err
	}
	first, err := ask("Passphrase for " + path + " (empty for none): ")
	if err != nil {
		return nil, err
	}
	again, err := ask("The same again: ")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(first, again) {
		return nil, errors.New("the two passphrases differ")
	}
	return first, nil
}
