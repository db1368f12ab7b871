package layout_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/content/memory"
	"oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/errdef"
)

// oras-go reads a bundle as the OCI layout in a tar archive that it is.
func TestORASReadsBundle(t *testing.T) {
	s := newSample(t, 600, 10)
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "a.bundle")
	if err := os.WriteFile(path, s.bytes(t), 0o600); err != nil {
		t.Fatal(err)
	}
	store, err := oci.NewFromTar(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	root, err := store.Resolve(ctx, testRef)
	if err != nil || root.Digest != s.root.Digest {
		t.Fatalf("resolved %s (%v), want %s", root.Digest, err, s.root.Digest)
	}
	target := memory.New()
	if _, err := oras.Copy(ctx, store, testRef, target, "", oras.DefaultCopyOptions); err != nil {
		t.Fatal(err)
	}
	for d, want := range s.late {
		got, err := content.FetchAll(ctx, target, describe(ocispec.MediaTypeImageLayer, want))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("blob %s: wrong content (%v)", d, err)
		}
	}
	_, err = store.Fetch(ctx, describe(ocispec.MediaTypeImageLayer, []byte("other")))
	if !errors.Is(err, errdef.ErrNotFound) {
		t.Errorf("unknown blob: %v, want ErrNotFound", err)
	}
}
