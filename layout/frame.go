package layout

import (
	"io"
	"slices"
	"time"
)

// BlockSize is the unit of the tar: the size of a header, and what content is
// padded to. TrailerSize is how many zeros end a bundle. Both in bytes.
const (
	BlockSize   = blockSize
	TrailerSize = trailerSize
)

// Header returns the one header, of BlockSize bytes, that an entry with this
// name and size in bytes can have in a bundle of that time.
func Header(name string, size int64, modTime time.Time) ([]byte, error) {
	return encodeHeader(name, size, modTime.Unix())
}

// Footprint is what an entry of size bytes takes in the file: header, content
// and padding.
func Footprint(size int64) int64 { return blockSize + size + padding(size) }

// Entries returns all entries in order.
func (p *Plan) Entries() []Entry { return slices.Clone(p.entries) }

// ModTime returns the time that every entry carries.
func (p *Plan) ModTime() time.Time { return time.Unix(p.mtime, 0).UTC() }

// PeekSums reads SHA256SUMS, of at most max bytes, from the begin of a bundle,
// which may be all there is of it. Nothing else is looked at.
func PeekSums(r io.ReaderAt, max int64) ([]byte, error) {
	first, err := peek(r, 0, LayoutFile, int64(len(LayoutContent())))
	if err != nil {
		return nil, err
	}
	at := Footprint(first)
	size, err := peek(r, at, SumsFile, max)
	if err != nil {
		return nil, err
	}
	sums := make([]byte, size)
	if n, err := r.ReadAt(sums, at+blockSize); n < len(sums) {
		return nil, &ReadError{SumsFile, at + int64(n), err}
	}
	return sums, nil
}

// peek reads the header at a place, and returns the size that it gives.
func peek(r io.ReaderAt, at int64, name string, max int64) (int64, error) {
	var block [blockSize]byte
	if n, err := r.ReadAt(block[:], at); n < len(block) {
		return 0, &ReadError{name, at, err}
	}
	h, what := decodeHeader(block[:])
	if what != "" || h.name != name || h.size > max {
		return 0, &FormatError{name, at, "its header does not stand there"}
	}
	return h.size, nil
}
