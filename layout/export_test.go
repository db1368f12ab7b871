package layout

import (
	"io"

	"github.com/opencontainers/go-digest"
)

// What follows is for tests in package layout_test alone.

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
