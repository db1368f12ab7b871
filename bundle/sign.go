package bundle

import (
	"context"
	"fmt"

	"bundle/bundle/internal/carried"
	"bundle/bundle/internal/disk"
	"bundle/bundle/internal/emit"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/progress"
	"bundle/bundle/internal/trust"
	"bundle/bundle/reports"
)

// Sign adds a signature to a bundle, in a file beside it: the bundle's name,
// the key and .sig. The bundle is not touched. Whoever signs vouches for the
// content, so all of it is checked before, as Verify does, and so are the
// signatures that are there, but for whether their keys are trusted. A list of
// checksums may be signed too, see Verify.
func Sign(ctx context.Context, path string, s *Signer, pr Progress) (*reports.Sign, error) {
	if isSums(path) {
		return signSums(ctx, path, s, progress.OrSilent(pr))
	}
	b, err := open.File(ctx, path, &trust.Trust{Anybody: true, AllowExpired: true})
	if err != nil {
		return nil, err
	}
	defer b.Close()
	r := &reports.Sign{
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
	if err := carried.Check(ctx, b, progress.OrSilent(pr)); err != nil {
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
