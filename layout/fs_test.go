package layout_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"testing"
	"testing/fstest"

	"bundle/layout"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/content/memory"
	"oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/errdef"
)

func TestFS(t *testing.T) {
	s := newSample(t, 0, 1, 600)
	fsys := mustReader(t, s.bytes(t)).FS()
	names := make([]string, 0, len(s.all))
	for name := range s.all {
		names = append(names, name)
	}
	if err := fstest.TestFS(fsys, names...); err != nil {
		t.Error(err)
	}
}

func TestFSFilesAreRandomAccess(t *testing.T) {
	s := newSample(t, 600)
	f, err := mustReader(t, s.bytes(t)).FS().Open(layout.BlobName(digest.FromBytes(pseudo(0, 600))))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := make([]byte, 100)
	if _, err := f.(io.ReaderAt).ReadAt(got, 500); err != nil || !bytes.Equal(got, pseudo(0, 600)[500:]) {
		t.Errorf("ReadAt: wrong content (%v)", err)
	}
	if _, err := f.(io.ReaderAt).ReadAt(make([]byte, 100), 501); err != io.EOF {
		t.Errorf("ReadAt beyond the entry: %v, want EOF", err)
	}
	if n, err := f.(io.Seeker).Seek(-100, io.SeekEnd); err != nil || n != 500 {
		t.Errorf("Seek: %d, %v", n, err)
	}
	if rest, err := io.ReadAll(f); err != nil || !bytes.Equal(rest, got) {
		t.Errorf("read after Seek: wrong content (%v)", err)
	}
}

func TestFSWithoutBlobs(t *testing.T) {
	s := newSample(t)
	s.files = s.files[:4]
	fsys := mustReader(t, s.bytes(t)).FS()
	if _, err := fs.Stat(fsys, "blobs"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("blobs: %v, want fs.ErrNotExist", err)
	}
	for _, name := range []string{"/oci-layout", "../x", "blobs/"} {
		if _, err := fsys.Open(name); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%s: %v, want fs.ErrInvalid", name, err)
		}
	}
}

// oras-go reads a bundle through FS as the OCI layout that it is.
func TestORASReadsBundle(t *testing.T) {
	s := newSample(t, 600, 10)
	ctx := t.Context()
	store, err := oci.NewFromFS(ctx, mustReader(t, s.bytes(t)).FS())
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
