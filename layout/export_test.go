package layout

import (
	"io"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
)

// What follows is for tests in package layout_test alone.

func (p *Plan) Entries() []Entry { return slices.Clone(p.entries) }

func (p *Plan) ModTime() time.Time { return time.Unix(p.mtime, 0).UTC() }

// Blob begins a blob that is written from its begin to its end, as if nothing of
// it were in the file.
func (w *Writer) Blob(d digest.Digest) (io.WriteCloser, error) {
	a, err := w.Assemble(d)
	if err != nil {
		return nil, err
	}
	a.Reset()
	return &blobWriter{Assembly: a}, nil
}

type blobWriter struct {
	*Assembly
	at int64
}

func (b *blobWriter) Write(p []byte) (int, error) {
	n, err := b.WriteAt(p, b.at)
	b.at += int64(n)
	return n, err
}
