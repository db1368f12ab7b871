package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"bundle/bundle"
	"bundle/bundle/reports"
)

func newMerge() *cobra.Command {
	var (
		o      bundle.MergeOptions
		key    string
		wanted []string
	)
	cmd := &cobra.Command{
		Use:   "merge DELTA OLDER… -o FILE --key FILE",
		Short: "Write a delta and what it leaves out into one whole bundle",
		Long: `Write a delta and the layers that it leaves out, from the older bundles, into one
whole bundle with the same images, and sign it.

Who signs vouches for the content: every byte is checked. Whether to believe those who
signed the delta is asked where --delta-key says whom to believe. The new bundle keeps
the time, the serial number and the end of the delta: to an import, the two are of one
age. Its id is that of an export of the same without --base.`,
		Example: `  bundle merge june.bundle.tar may.bundle.tar -o whole.bundle.tar --key release-key`,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			switch {
			case o.Output == "":
				return &bundle.UsageError{What: "no file to write to", Advice: "give -o FILE"}
			case key == "":
				return &bundle.UsageError{What: "no key to sign the bundle with", Advice: "give --key FILE; `bundle keygen` makes one"}
			}
			var err error
			if o.Signer, err = bundle.LoadSigner(ctx, key, keyOptions(ctx, cmd.ErrOrStderr(), key)); err != nil {
				return err
			}
			if len(wanted) > 0 {
				if o.Trust, err = bundle.LoadTrust(ctx, wanted, ""); err != nil {
					return err
				}
			}
			o.Progress = newProgress(cmd)
			o.Older, o.Tool = args[1:], toolName()
			r, err := bundle.Merge(ctx, args[0], o)
			if err != nil {
				return err
			}
			return output(cmd, mergeJSON(r), func(v view) { printMerge(v.err, r) }, nil, nil)
		},
	}
	fl := cmd.Flags()
	fl.StringVarP(&o.Output, "output", "o", "", "write the whole bundle to `FILE`")
	fl.BoolVar(&o.Force, "force", false, "replace a bundle of other content that FILE is")
	fl.StringVar(&key, "key", "", "sign with this OpenSSH private key `FILE`, or with a .pub whose private key the ssh-agent holds")
	fl.StringArrayVar(&wanted, "delta-key", nil, "want the delta signed by the public key in `FILE.pub` (repeatable)")
	return cmd
}

func printMerge(w paper, r *reports.Merge) {
	fmt.Fprintf(w, "%s: %s, %s, %s, id %s, created %s\n", r.Path, size(r.Size), count(r.Charts, "chart"), count(r.Images, "image"), r.ID, r.Created.Format(time.RFC3339))
	fmt.Fprintf(w, "%s, %s, came from the older bundles\n", count(r.Layers, "layer"), size(r.Bytes))
	for _, o := range r.Others {
		fmt.Fprintf(w, "the delta was signed by %s\n", o.Fingerprint)
	}
	printFingerprint(w, "signed with ", r.Fingerprint)
}

// A jsonMerge is the report of bundle merge.
type jsonMerge struct {
	Bundle  jsonBundle   `json:"bundle"`
	Signers []jsonSigner `json:"signers"` // of the whole bundle
	Layers  int          `json:"layers"`  // that came from older bundles
	Bytes   jsonBytes    `json:"bytes"`   // moved: of those layers
}

func mergeJSON(r *reports.Merge) *jsonMerge {
	return &jsonMerge{
		Bundle:  jsonBundle{Path: r.Path, Size: r.Size, ID: r.ID, Created: r.Created},
		Signers: []jsonSigner{{Fingerprint: r.Fingerprint, KeyType: r.KeyType, Signature: "SHA256SUMS.sig"}},
		Layers:  r.Layers,
		Bytes:   jsonBytes{Total: r.Size, Moved: r.Bytes},
	}
}
