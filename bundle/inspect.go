package bundle

import (
	"context"
	"errors"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/checksum"
	"bundle/layout"
)

// An InspectReport shows a bundle without judging it, unless a Trust was
// given.
type InspectReport struct {
	Path    string    `json:"path"`
	Size    int64     `json:"size"`
	Signed  bool      `json:"signed"`
	Key     string    `json:"key,omitempty"` // fingerprint that the signature names
	KeyType string    `json:"keyType,omitempty"`
	Checked bool      `json:"checked"`           // signatures were checked against trusted keys
	Signers []Voucher `json:"signers,omitempty"` // those that were accepted
	Blobs   int       `json:"blobs"`
	*Record
}

// Inspect reads the head of a bundle and its record. Without a Trust the
// content is shown as it claims to be.
func Inspect(_ context.Context, path string, trust *Trust) (*InspectReport, error) {
	if trust == nil {
		trust = TrustAnyone()
	}
	b, err := Open(path, trust)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	r := &InspectReport{Path: path, Checked: !b.SignatureSkipped, Signers: b.Signers, Record: b.Record, Blobs: len(b.all), Size: b.size}
	inside, err := b.signature()
	if err != nil || len(inside) == 0 {
		return r, err
	}
	// Whom nobody is trusted to be is still told by name.
	s, err := checksum.Identify(b.list, inside[0].Armored)
	var found *checksum.TrustError
	if errors.As(err, &found) {
		s.Fingerprint, s.Type = found.Fingerprint, found.KeyType
	}
	r.Signed, r.Key, r.KeyType = true, s.Fingerprint, s.Type
	return r, nil
}

// blobsOf lists what root needs: manifests, each after those it names, and
// other blobs.
func (b *Bundle) blobsOf(root ocispec.Descriptor) (manifests, blobs []ocispec.Descriptor, err error) {
	all, err := layout.Reachable([]ocispec.Descriptor{root}, b.docs.fetch)
	if err != nil {
		return nil, nil, err
	}
	for _, d := range all {
		if layout.IsManifest(d.MediaType) {
			manifests = append(manifests, d)
		} else {
			blobs = append(blobs, d)
		}
	}
	return manifests, blobs, nil
}
