package layout

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// FuzzPartialReader: of a bundle that was being written from its begin to its
// end, every beginning is read, and as a beginning; anything else is refused or
// stays within the file.
func FuzzPartialReader(f *testing.F) {
	content := []byte("content")
	p, err := NewPlan([]File{
		{LayoutFile, int64(len(LayoutContent())), LayoutContent()},
		{SumsFile, 0, []byte{}},
		{SignatureFile, 3, []byte("sig")},
		{IndexFile, 600, make([]byte, 600)},
		{BlobName(digest.FromBytes(content)), int64(len(content)), content},
	}, time.Unix(1, 0))
	if err != nil {
		f.Fatal(err)
	}
	var whole bytes.Buffer
	noBlobs := func(digest.Digest) (io.ReadCloser, error) { return nil, errors.New("all content is known") }
	if err := Stream(&whole, p, noBlobs); err != nil {
		f.Fatal(err)
	}
	for cut := 0; cut <= whole.Len(); cut += 173 {
		f.Add(whole.Bytes(), cut)
	}
	f.Add(whole.Bytes(), whole.Len())
	f.Add(append(whole.Bytes()[:1024:1024], make([]byte, 2048)...), 3000)
	f.Fuzz(func(t *testing.T, data []byte, cut int) {
		full, fullErr := NewReader(bytes.NewReader(data), int64(len(data)))
		part := data[:min(max(cut, 0), len(data))]
		r, err := newPartialReader(bytes.NewReader(part), int64(len(part)))
		if err != nil {
			var format *FormatError
			if !errors.As(err, &format) || fullErr == nil {
				t.Fatalf("%d bytes of %d (%v): %v", len(part), len(data), fullErr, err)
			}
			return
		}
		if n := r.reach(); n < 0 || n > int64(len(part)) {
			t.Fatalf("reaches to %d of %d bytes", n, len(part))
		}
		if fullErr == nil && !slices.Equal(r.Entries(), full.Entries()[:r.Len()]) {
			t.Fatalf("entries %v of a beginning of %v", r.Entries(), full.Entries())
		}
	})
}
