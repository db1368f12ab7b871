package bundle

import (
	"context"
	"errors"

	"bundle/bundle/internal/emit"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/trust"
	"bundle/bundle/reports"
	"bundle/checksum"
)

// Inspect reads the head of a bundle and its record. Without a Trust the
// content is shown as it claims to be. Of a bundle in parts, any one medium is
// enough.
func Inspect(ctx context.Context, path string, t *Trust, more ...string) (*reports.Inspect, error) {
	if t == nil {
		t = trust.TrustAnyone()
		t.AllowExpired = true
	}
	b, err := open.File(ctx, path, t, more...)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return inspect(path, b)
}

// inspect shows an open bundle.
func inspect(path string, b *open.Bundle) (*reports.Inspect, error) {
	r := &reports.Inspect{Bundle: emit.About(path, b), Entries: b.Reader.Len(), Path: path, Checked: !b.SignatureSkipped, Signers: b.Signers, Record: b.Record, Blobs: len(b.Blobs), Size: b.Size, Parts: b.PartsReport()}
	inside, err := b.Signature()
	if err != nil || len(inside) == 0 {
		return r, err
	}
	// Whom nobody is trusted to be is still told by name.
	s, err := checksum.Identify(b.Sums, inside[0].Armored)
	var found *checksum.TrustError
	if errors.As(err, &found) {
		s.Fingerprint, s.Type = found.Fingerprint, found.KeyType
	}
	r.Claimed = []trust.Voucher{{Fingerprint: s.Fingerprint, KeyType: s.Type, Authority: s.Authority, KeyID: s.KeyID, Signature: inside[0].Name}}
	r.Signed, r.Key, r.KeyType = true, s.Fingerprint, s.Type
	return r, nil
}
