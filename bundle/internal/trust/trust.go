// Package trust says who signs a bundle and whom a reader believes: OpenSSH
// keys, certificates and allowed_signers files, and the signatures that lie in a
// bundle or beside it (checksum/SPEC.md).
//
// The contract: a nil [Trust] believes nobody; errors about signatures are of
// the kind Untrusted and carry advice; existing key files are never replaced.
//
//	t, err := trust.LoadTrust(ctx, []string{"release-key.pub"}, "")
//	vouched, err := t.Check(list, signatures, time.Now())
package trust

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/input"
	"bundle/bundle/internal/record"
	"bundle/checksum"
)

// Trust is whom a reader believes, and how many of them it wants.
type Trust struct {
	// Principals, where given, are the identities that may sign, as ssh-keygen
	// -I: one of them has to stand in the line of allowed_signers.
	Principals []string
	// Namespace is what signatures have to be made for; empty: bundles.
	Namespace string
	// Require is how many distinct trusted signers there have to be; 0: one.
	Require int
	// Signatures are files with signatures, beside those that lie next to the
	// bundle under its name.
	Signatures []string
	// NewerThan refuses bundles that were made before it, so that nobody slips
	// in an old one that is signed as well as any; zero: none.
	NewerThan time.Time
	// AllowExpired takes bundles after the time that their signers set.
	AllowExpired bool

	keys    checksum.Trust
	skip    bool // signatures are not looked at
	Anybody bool // every signature has to be valid, whoever made it
}

// Bounds of the files that keys stand in, in bytes.
const (
	maxKey     = 1 << 20
	maxSigners = 16 << 20
)

// LoadTrust reads public key files and, where named, an OpenSSH
// allowed_signers file.
func LoadTrust(ctx context.Context, keyFiles []string, allowedSigners string) (*Trust, error) {
	t := new(Trust)
	for _, name := range keyFiles {
		b, err := readKey(ctx, name)
		if err != nil {
			return nil, err
		}
		pub, err := checksum.ParsePublicKey(b)
		if err != nil {
			return nil, notPublic(name, b, err)
		}
		t.keys.AddKey(pub)
	}
	if allowedSigners != "" {
		b, err := input.File(ctx, allowedSigners, maxSigners)
		if err != nil {
			return nil, fmt.Errorf("allowed signers: %w", err)
		}
		if err := t.keys.AddAllowedSigners(b); err != nil {
			return nil, notSigners(allowedSigners, b, err)
		}
	}
	return t, nil
}

// AddFingerprint trusts the key with this fingerprint, SHA256:…, which the
// signature holds itself. It may have been copied from paper, with blanks.
func (t *Trust) AddFingerprint(s string) error {
	if err := t.keys.AddFingerprint(s); err != nil {
		return fault.Input("--fingerprint", err, "the sender sees it when they run bundle export, keygen or sign")
	}
	return nil
}

// TrustAnyone skips the signature. Checksums still hold, but say only that the
// bundle is whole, not whose it is.
func TrustAnyone() *Trust { return &Trust{skip: true} }

// A Voucher is somebody who vouches for a bundle: whose signature verified,
// and who is trusted.
type Voucher struct {
	Fingerprint string `json:"fingerprint"`          // SHA256:… of the key
	KeyType     string `json:"keyType"`              // ssh-ed25519
	Principals  string `json:"principals,omitempty"` // who that is, as far as allowed_signers says it
	Comment     string `json:"comment,omitempty"`    // of the trusted key
	Authority   string `json:"authority,omitempty"`  // fingerprint of the authority that certified the key
	KeyID       string `json:"keyID,omitempty"`      // what the authority calls the certificate
	Signature   string `json:"signature"`            // where it was: SHA256SUMS.sig in the bundle, or a file
}

// Name returns what is known of the signer's name, or nothing.
func (v Voucher) Name() string { return cmp.Or(v.Comment, v.Principals) }

// Vouched says on whose word a bundle was taken.
type Vouched struct {
	Signers          []Voucher `json:"signers"`                    // all that were accepted
	SignatureSkipped bool      `json:"signatureSkipped,omitempty"` // nobody's: signatures were not checked, as the user wanted
}

// Check verifies signatures over a list of checksums.
func (t *Trust) Check(list []byte, found []checksum.Candidate, now time.Time) (v Vouched, err error) {
	if t == nil {
		t = new(Trust)
	}
	if t.skip {
		return Vouched{Signers: []Voucher{}, SignatureSkipped: true}, nil
	}
	if t.Anybody {
		return t.identify(list, found)
	}
	keys := t.keys
	keys.Namespace = t.Namespace
	keys.Principals = t.Principals
	accepted, err := keys.Require(t.Require, list, found, now)
	if err != nil {
		return Vouched{}, explain(err)
	}
	for _, a := range accepted {
		v.Signers = append(v.Signers, voucher(a.Name, a.Signer))
	}
	return v, nil
}

// Revoke reads files with keys that nobody may sign with any more.
func (t *Trust) Revoke(ctx context.Context, files []string) error {
	for _, name := range files {
		b, err := input.File(ctx, name, maxSigners)
		if err != nil {
			return fmt.Errorf("revoked keys: %w", err)
		}
		if err := t.keys.Revoke(b); err != nil {
			return fault.Input("revoked keys "+name, err, "want a public key or a fingerprint SHA256:… on each line")
		}
	}
	return nil
}

// CheckAge refuses a bundle that is older than wanted, by the time that its
// signers vouch for, and one that they want to be used no more. One from the
// future would be newer than anything.
func (t *Trust) CheckAge(rec *record.Record, now time.Time) error {
	const skew = 24 * time.Hour // between the clocks of two machines
	switch {
	case t == nil:
		return nil
	case rec.Created.Before(t.NewerThan):
		return &StaleError{Created: rec.Created, Wanted: t.NewerThan}
	case !t.NewerThan.IsZero() && rec.Created.After(now.Add(skew)):
		return &StaleError{Created: rec.Created, Wanted: now, Future: true}
	case !rec.Expires.IsZero() && now.After(rec.Expires) && !t.AllowExpired:
		return &ExpiredError{Expired: rec.Expires}
	}
	return nil
}

// identify says who signed, and not whether to believe them.
func (t *Trust) identify(list []byte, found []checksum.Candidate) (v Vouched, err error) {
	for _, c := range found {
		s, err := checksum.IdentifyFor(cmp.Or(t.Namespace, checksum.Namespace), list, c.Armored)
		if err != nil {
			return Vouched{}, explain(fmt.Errorf("%s: %w", c.Name, err))
		}
		v.Signers = append(v.Signers, voucher(c.Name, s))
	}
	return v, nil
}

func voucher(where string, s checksum.Signer) Voucher {
	return Voucher{
		Fingerprint: s.Fingerprint,
		KeyType:     s.Type,
		Principals:  s.Principals,
		Comment:     s.Comment,
		Authority:   s.Authority,
		KeyID:       s.KeyID,
		Signature:   where,
	}
}
