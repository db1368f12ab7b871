package bundle

import (
	"context"
	"errors"

	"bundle/bundle/internal/emit"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/trust"
	"bundle/checksum"
)

// An InspectReport shows a bundle without judging it, unless a Trust was
// given.
type InspectReport struct {
	Bundle  emit.ReceiptBundle `json:"-"`
	Entries int                `json:"-"`
	Claimed []trust.Voucher    `json:"-"` // who signed, as far as the signature in the bundle says it; not checked
	Path    string             `json:"path"`
	Size    int64              `json:"size"`
	Signed  bool               `json:"signed"`
	Key     string             `json:"key,omitempty"` // fingerprint that the signature names
	KeyType string             `json:"keyType,omitempty"`
	Checked bool               `json:"checked"`           // signatures were checked against trusted keys
	Signers []trust.Voucher    `json:"signers,omitempty"` // those that were accepted
	Blobs   int                `json:"blobs"`
	Parts   *open.PartsReport  `json:"parts,omitempty"` // of a bundle in parts: what was there
	*record.Record
}

// Inspect reads the head of a bundle and its record. Without a Trust the
// content is shown as it claims to be. Of a bundle in parts, any one medium is
// enough.
func Inspect(ctx context.Context, path string, t *trust.Trust, more ...string) (*InspectReport, error) {
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
func inspect(path string, b *open.Bundle) (*InspectReport, error) {
	r := &InspectReport{Bundle: emit.About(path, b), Entries: b.Reader.Len(), Path: path, Checked: !b.SignatureSkipped, Signers: b.Signers, Record: b.Record, Blobs: len(b.Blobs), Size: b.Size, Parts: b.PartsReport()}
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
