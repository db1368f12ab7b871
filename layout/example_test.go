package layout_test

import (
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"time"

	"bundle/layout"

	"github.com/opencontainers/go-digest"
)

// A bundle is planned, written and read again.
func Example() {
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "app.bundle")

	layer := []byte("a layer, of which only digest and size are known at first")
	d := digest.FromBytes(layer)
	if err := write(path, d, layer); err != nil {
		log.Fatal(err)
	}
	if err := read(path, d); err != nil {
		log.Fatal(err)
	}
	// Output:
	// oci-layout 30
	// SHA256SUMS 5
	// index.json 2
	// blobs/sha256/2537d90b… 57
	// a layer, of which only digest and size are known at first
}

func write(path string, d digest.Digest, layer []byte) error {
	plan, err := layout.NewPlan([]layout.File{
		{Name: layout.LayoutFile, Size: 30, Data: layout.LayoutContent()},
		{Name: layout.SumsFile, Size: 5, Data: []byte("sums\n")},
		{Name: layout.IndexFile, Size: 2, Data: []byte("{}")},
		{Name: layout.BlobName(d), Size: int64(len(layer))},
	}, time.Unix(1_700_000_000, 0))
	if err != nil {
		return err
	}
	w, err := layout.Create(path, plan)
	if err != nil {
		return err
	}
	defer w.Close()
	b, err := w.Assemble(d)
	if err != nil {
		return err
	}
	if _, err := b.WriteAt(layer, 0); err != nil {
		return err
	}
	if err := b.Close(); err != nil { // checks size and digest
		return err
	}
	return w.Commit()
}

func read(path string, d digest.Digest) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	r, err := layout.NewReader(file, info.Size())
	if err != nil {
		return err
	}
	for _, e := range r.Entries() {
		name := e.Name
		if _, ok := layout.BlobDigest(name); ok {
			name = name[:21] + "…"
		}
		fmt.Println(name, e.Size)
	}
	blob, err := r.OpenBlob(d)
	if err != nil {
		return err
	}
	defer blob.Close()
	_, err = io.Copy(os.Stdout, blob)
	return err
}
