package bundle

import (
	"context"
	"fmt"
	"time"

	"bundle/bundle/internal/disk"
	"bundle/bundle/internal/emit"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/progress"
	"bundle/bundle/internal/trust"
)

// A SignReport says what was signed.
type SignReport struct {
	Bundle      emit.ReceiptBundle `json:"bundle"`
	KeyType     string             `json:"keyType"`
	Path        string             `json:"path"`
	ID          string             `json:"id"`
	Created     time.Time          `json:"created"`
	Charts      []string           `json:"charts,omitempty"` // name-version
	Images      int                `json:"images"`
	Fingerprint string             `json:"fingerprint"`       // of the key that signed
	Signature   string             `json:"signature"`         // where it is: a file, or SHA256SUMS.sig in the bundle
	Already     bool               `json:"already,omitempty"` // it was there before
	Others      []trust.Voucher    `json:"others,omitempty"`  // who else signed; whether to believe them was not asked
	Files       []ListedFile       `json:"files,omitempty"`   // of a list of checksums, not a bundle: what it names
}

// Sign adds a signature to a bundle, in a file beside it: the bundle's name,
// the key and .sig. The bundle is not touched. Whoever signs vouches for the
// content, so all of it is checked before, as Verify does, and so are the
// signatures that are there, but for whether their keys are trusted. A list of
// checksums may be signed too, see Verify.
func Sign(ctx context.Context, path string, s *trust.Signer, pr progress.Reporter) (*SignReport, error) {
	if isList(path) {
		return signList(ctx, path, s, progress.OrSilent(pr))
	}
	b, err := open.File(ctx, path, &trust.Trust{Anybody: true, AllowExpired: true})
	if err != nil {
		return nil, err
	}
	defer b.Close()
	r := &SignReport{
		Bundle:      emit.About(path, b),
		KeyType:     s.Key.PublicKey().Type(),
		Path:        path,
		ID:          b.Record.ID,
		Created:     b.Record.Created,
		Images:      len(b.Record.Images),
		Fingerprint: s.Fingerprint(),
		Signature:   trust.SignaturePath(path, s),
	}
	for _, c := range b.Record.Charts {
		r.Charts = append(r.Charts, c.Label())
	}
	for _, f := range b.Signers {
		if f.Fingerprint == r.Fingerprint {
			r.Signature, r.Already = f.Signature, true
			continue
		}
		r.Others = append(r.Others, f)
	}
	if err := b.CheckAll(ctx, progress.OrSilent(pr)); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if r.Already {
		return r, nil
	}
	sig, err := s.Sign(b.Sums)
	if err != nil {
		return nil, err
	}
	return r, disk.WriteFile(r.Signature, sig)
}
