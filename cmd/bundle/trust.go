package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"bundle/bundle"
	"bundle/bundle/reports"
)

// trustFlags are those of every command that reads a bundle.
type trustFlags struct {
	keys           []string
	fingerprints   []string
	allowedSigners string
	principals     []string
	signatures     []string
	require        int
	newerThan      string
	revoked        []string
	allowExpired   bool
	skip           bool
}

func (f *trustFlags) add(cmd *cobra.Command) { f.addFor(cmd, false) }

// addFor adds the flags; a command that only shows a bundle checks nothing anyway,
// unless it is told to.
func (f *trustFlags) addFor(cmd *cobra.Command, shows bool) {
	fl := cmd.Flags()
	fl.StringArrayVar(&f.keys, "key", nil, "trust the OpenSSH public key in `FILE.pub` (repeatable)")
	fl.StringArrayVar(&f.fingerprints, "fingerprint", nil, "trust the key with this `SHA256:…`, as the sender read it to you; blanks do not count (repeatable)")
	fl.StringVar(&f.allowedSigners, "allowed-signers", "", "trust whom this OpenSSH allowed_signers `FILE` lists\n(default, where nobody else is named: "+bundle.DefaultSigners()+")")
	fl.StringArrayVar(&f.principals, "principal", nil, "take signatures only from this `IDENTITY` in allowed_signers, as ssh-keygen -I (repeatable)")
	fl.StringArrayVar(&f.signatures, "signature", nil, "take this `FILE.sig` too, beside those next to the bundle (repeatable)")
	f.require = 1
	fl.Var(numberFlag[int]{n: &f.require}, "require", "want `NUMBER` distinct trusted signers")
	fl.StringVar(&f.newerThan, "newer-than", "", "refuse a bundle made before this `TIME` (2026-01-31 or 2026-01-31T12:00:00Z), or in the future")
	fl.StringArrayVar(&f.revoked, "revoked", nil, "take no signature by the keys or fingerprints that `FILE` lists, one a line (repeatable)")
	fl.BoolVar(&f.allowExpired, "allow-expired", false, "take a bundle after the time its signers set with --expires")
	if shows {
		return
	}
	fl.BoolVar(&f.skip, "insecure-skip-signature", false, "do not check who made the bundle")
}

// given tells a command that also works without trust that it was asked for.
func (f *trustFlags) given() bool { return f.chosen() || f.newerThan != "" }

// chosen reports whether the flags say which signatures to want.
func (f *trustFlags) chosen() bool {
	return len(f.keys)+len(f.fingerprints)+len(f.principals)+len(f.signatures)+len(f.revoked) > 0 || f.allowedSigners != "" || f.require != 1
}

func (f *trustFlags) trust(ctx context.Context) (*bundle.Trust, error) {
	newer, err := parseTime(f.newerThan)
	if err != nil {
		return nil, err
	}
	if f.skip && f.chosen() {
		return nil, &bundle.UsageError{
			What:   "--insecure-skip-signature checks no signature, and other flags say which to check",
			Advice: "drop the one or the others",
		}
	}
	if f.skip {
		t := bundle.TrustAnyone()
		t.NewerThan, t.AllowExpired = newer, f.allowExpired
		return t, nil
	}
	signers, err := f.signers()
	if err != nil {
		return nil, err
	}
	if len(f.principals) > 0 && signers == "" {
		return nil, &bundle.UsageError{
			What:   "--principal needs an allowed_signers file: a key has no identity by itself",
			Advice: "give --allowed-signers FILE, or write " + bundle.DefaultSigners(),
		}
	}
	t, err := bundle.LoadTrust(ctx, f.keys, signers)
	if err != nil {
		return nil, err
	}
	for _, s := range f.fingerprints {
		if err := t.AddFingerprint(s); err != nil {
			return nil, err
		}
	}
	t.Principals, t.Signatures, t.Require = f.principals, f.signatures, f.require
	t.NewerThan, t.AllowExpired = newer, f.allowExpired
	return t, t.Revoke(ctx, f.revoked)
}

// parseTime reads a time, or a date, which is its first moment in UTC.
func parseTime(s string) (t time.Time, err error) {
	if s == "" {
		return t, nil
	}
	if t, err = time.Parse(time.DateOnly, s); err != nil {
		t, err = time.Parse(time.RFC3339, s)
	}
	if err != nil {
		return t, &bundle.UsageError{What: fmt.Sprintf("--newer-than %q is no time", s), Advice: "want 2026-01-31 or 2026-01-31T12:00:00Z"}
	}
	return t, nil
}

// signers is the allowed_signers file to read: the one that was named or, when
// nobody was named to be trusted, that of the user, if there is one.
func (f *trustFlags) signers() (string, error) {
	if f.allowedSigners != "" || len(f.keys)+len(f.fingerprints) > 0 {
		return f.allowedSigners, nil
	}
	path := bundle.DefaultSigners()
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil // nor has an account without a home one
	}
	return path, err
}

// printTrust says on whose word the bundle was taken.
func printTrust(w paper, v reports.Vouched) {
	if v.SignatureSkipped {
		fmt.Fprintln(w, "signature NOT checked (--insecure-skip-signature)")
	}
	for _, s := range v.Signers {
		line := "signed by " + s.Fingerprint
		if s.Name() != "" {
			line += " (" + s.Name() + ")"
		}
		if s.Authority != "" {
			line += ", certified by " + s.Authority
		}
		fmt.Fprintln(w, line)
	}
}
