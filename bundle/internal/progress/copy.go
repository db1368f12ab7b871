package progress

import (
	"io"
	"sync"
)

// Buffers are for loops that copy; a *[]byte of 256 KiB each.
var Buffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// Reader returns r, with what is read from it told to p.
func Reader(r io.Reader, p Reporter) io.Reader { return counted{r, p} }

// counted has no WriteTo, which would bypass the buffer of the one who copies.
type counted struct {
	r io.Reader
	p Reporter
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.p.Add(int64(n))
	return n, err
}
