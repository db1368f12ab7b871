package layout

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
)

// Reader reads a bundle in place, by offset. Its methods may be called
// concurrently.
type Reader struct {
	src   io.ReaderAt
	size  int64
	heads []Entry // those that are no blobs
	blobs blobList
	names *sequence
	mtime int64

	partial bool // the file may end anywhere
}

// blob is the entry of a blob, without its name: a bundle of 200,000 entries
// has to be read, or refused, in little memory.
type blob struct {
	key          key
	size, offset int64
}

// blobList grows without being copied, which would take several times its size
// until the garbage is collected.
type blobList struct {
	chunks [][]blob // all but the last are full
	n      int
}

const blobChunk = 4096

func (l *blobList) add(b blob) {
	if l.n%blobChunk == 0 {
		l.chunks = append(l.chunks, make([]blob, 0, min(l.n, blobChunk))) // a small bundle takes little
	}
	last := &l.chunks[len(l.chunks)-1]
	*last = append(*last, b)
	l.n++
}

func (l *blobList) at(i int) blob { return l.chunks[i/blobChunk][i%blobChunk] }

func (b blob) entry() Entry {
	return Entry{Name: blobPrefix + hex.EncodeToString(b.key[:]), Size: b.size, Offset: b.offset}
}

// NewReader reads all headers of the bundle of size bytes in r, and refuses
// with a [*FormatError] everything that a [Plan] could not have described:
// other names, types or orders of entries, headers that differ in one byte,
// padding that is not zero, a file that ends too early or too late. Content is
// not read; see [Reader.OpenBlob] for that.
func NewReader(r io.ReaderAt, size int64) (*Reader, error) {
	b := &Reader{src: r, size: size, names: newSequence()}
	if err := b.walk(); err != nil {
		return nil, err
	}
	return b, nil
}

// NewHeadReader is [NewReader] for the begin of a bundle: it may end anywhere
// behind its index.json, the content of its last entry included.
func NewHeadReader(r io.ReaderAt, size int64) (*Reader, error) {
	b, err := newPartialReader(r, size)
	if err == nil && b.names.missing() != "" {
		err = &FormatError{"", size, "truncated: the file ends before its entry " + b.names.missing()}
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// newPartialReader is NewReader for a file that was being written from its begin
// to its end: it may end anywhere, the content of its last entry included.
func newPartialReader(r io.ReaderAt, size int64) (*Reader, error) {
	b := &Reader{src: r, size: size, names: newSequence(), partial: true}
	if err := b.walk(); err != nil {
		return nil, err
	}
	return b, nil
}

// walk reads header after header. buf holds what lies between two contents:
// the padding of one and the header of the next.
func (r *Reader) walk() error {
	var buf [2 * blockSize]byte
	var last Entry
	for offset := int64(0); ; {
		pad := padding(last.Size)
		gap := buf[:pad+blockSize]
		if r.partial && r.size-offset < int64(len(gap)) {
			return nil
		}
		if err := r.readGap(gap, offset, last); err != nil {
			return err
		}
		if !isZero(gap[:pad]) {
			return &FormatError{last.Name, offset, "padding after the content is not zero"}
		}
		offset += pad
		block := gap[pad:]
		if isZero(block) {
			return r.end(offset)
		}
		e, err := r.entry(block, offset)
		if err != nil {
			return err
		}
		r.add(e)
		last = e
		offset = e.Offset + e.Size
	}
}

func (r *Reader) add(e Entry) {
	if k, ok := blobKey(e.Name); ok {
		r.blobs.add(blob{k, e.Size, e.Offset})
		return
	}
	r.heads = append(r.heads, e)
}

// readGap reads what lies between two contents.
func (r *Reader) readGap(p []byte, offset int64, last Entry) error {
	if rest := r.size - offset; rest < int64(len(p)) {
		what := fmt.Sprintf("truncated: %d bytes where the next header or the end should be", max(rest, 0))
		return &FormatError{last.Name, offset, what}
	}
	return r.readAt(p, offset, last.Name)
}

// readAt tells a file that ends early from one that cannot be read.
func (r *Reader) readAt(p []byte, offset int64, entry string) error {
	n, err := r.src.ReadAt(p, offset)
	switch {
	case n == len(p):
		return nil
	case errors.Is(err, io.EOF):
		return &FormatError{entry, offset + int64(n), "truncated: the file ends here"}
	}
	return &ReadError{entry, offset + int64(n), err}
}

// entry reads the header at offset.
func (r *Reader) entry(block []byte, offset int64) (Entry, error) {
	h, what := decodeHeader(block)
	e := Entry{Name: h.name, Size: h.size, Offset: offset + blockSize}
	switch {
	case what != "":
	case len(r.heads) > 0 && h.mtime != r.mtime:
		what = "mtime differs from that of the first entry"
	case h.size > r.size-e.Offset && !r.partial:
		what = fmt.Sprintf("truncated: content of %d bytes goes beyond the end of the file at byte %d", h.size, r.size)
	default:
		what = r.names.next(h.name)
	}
	if what != "" {
		return Entry{}, &FormatError{h.name, offset, what}
	}
	r.mtime = h.mtime
	return e, nil
}

// reach is where the last entry ends, or the file before it does.
func (r *Reader) reach() int64 {
	last := Entry{}
	for e := range r.All() {
		last = e
	}
	return min(last.Offset+last.Size, r.size)
}

// end checks what follows the zero block at offset: one more, then nothing.
func (r *Reader) end(offset int64) error {
	if name := r.names.missing(); name != "" {
		return &FormatError{"", offset, "the bundle ends before its entry " + name}
	}
	if r.partial && r.size < offset+trailerSize {
		return nil
	}
	if r.size < offset+trailerSize {
		return &FormatError{"", offset, "truncated: the end is not complete"}
	}
	var block [blockSize]byte
	if err := r.readAt(block[:], offset+blockSize, ""); err != nil {
		return err
	}
	switch {
	case !isZero(block[:]):
		return &FormatError{"", offset + blockSize, "the second block of the end is not zero"}
	case r.size > offset+trailerSize:
		return &FormatError{"", offset + trailerSize, "data after the end"}
	}
	return nil
}

// Entries returns all entries in order.
func (r *Reader) Entries() []Entry { return slices.Collect(r.All()) }

// All yields all entries in order.
func (r *Reader) All() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for _, e := range r.heads {
			if !yield(e) {
				return
			}
		}
		for i := range r.blobs.n {
			if !yield(r.blobs.at(i).entry()) {
				return
			}
		}
	}
}

// Size returns the size of the file in bytes.
func (r *Reader) Size() int64 { return r.size }

// Len returns how many entries there are.
func (r *Reader) Len() int { return len(r.heads) + r.blobs.n }

// Entry returns the entry of a name.
func (r *Reader) Entry(name string) (Entry, bool) {
	if k, ok := blobKey(name); ok {
		i, found := r.names.blobs[k]
		if !found {
			return Entry{}, false
		}
		return r.blobs.at(int(i) - len(r.heads)).entry(), true
	}
	for _, e := range r.heads {
		if e.Name == name {
			return e, true
		}
	}
	return Entry{}, false
}

// ModTime returns the time of creation, which every entry carries.
func (r *Reader) ModTime() time.Time { return time.Unix(r.mtime, 0).UTC() }

// ReadFile returns the content of an entry of at most max bytes, unverified:
// it is meant for the entries that the others are verified with. A name that
// the bundle does not have gives fs.ErrNotExist.
func (r *Reader) ReadFile(name string, max int64) ([]byte, error) {
	e, err := r.find(name)
	if err != nil {
		return nil, err
	}
	if e.Size > max {
		return nil, &FormatError{name, e.Offset, fmt.Sprintf("%d bytes are more than the %d allowed here", e.Size, max)}
	}
	data := make([]byte, e.Size)
	if err := r.readAt(data, e.Offset, name); err != nil {
		return nil, err
	}
	return data, nil
}

// OpenFile reads an entry whose sha256 digest is known. Content that differs
// gives a [*FormatError] in place of its last bytes, so that not even a caller
// who stops before io.EOF gets the whole of it. A name that the bundle does not
// have gives fs.ErrNotExist.
func (r *Reader) OpenFile(name string, want digest.Digest) (io.ReadCloser, error) {
	e, err := r.find(name)
	if err != nil {
		return nil, err
	}
	v := &verifyingReader{
		content: newContent(e.Size, want),
		src:     r.section(e),
		fail:    func(what string) error { return &FormatError{e.Name, e.Offset, what} },
	}
	v.wrap = func(err error) error { return &ReadError{e.Name, e.Offset + e.Size - v.left, err} }
	return io.NopCloser(v), nil
}

// OpenBlob is OpenFile for the blob d.
func (r *Reader) OpenBlob(d digest.Digest) (io.ReadCloser, error) {
	return r.OpenFile(BlobName(d), d)
}

// Section is the content of the blob d, unverified: it is meant for who checks it
// anyway.
func (r *Reader) Section(d digest.Digest) (*io.SectionReader, bool) {
	e, ok := r.Entry(BlobName(d))
	return r.section(e), ok
}

// ReadBlobAt reads len(p) bytes of the blob d from off on, unverified: it is meant
// for those who know checksums of parts. A blob that the bundle does not have gives
// fs.ErrNotExist, and a part that goes beyond the end io.ErrUnexpectedEOF.
func (r *Reader) ReadBlobAt(d digest.Digest, p []byte, off int64) error {
	e, err := r.find(BlobName(d))
	if err != nil {
		return err
	}
	if off < 0 || off > e.Size-int64(len(p)) {
		return io.ErrUnexpectedEOF
	}
	return r.readAt(p, e.Offset+off, e.Name)
}

// ReadBlob returns the verified content of a blob of at most max bytes.
func (r *Reader) ReadBlob(d digest.Digest, max int64) ([]byte, error) {
	data, err := r.ReadFile(BlobName(d), max)
	if err != nil {
		return nil, err
	}
	if got := digest.FromBytes(data); got != d {
		e, _ := r.Entry(BlobName(d))
		return nil, &FormatError{e.Name, e.Offset, fmt.Sprintf("content has the digest %s", got)}
	}
	return data, nil
}

func (r *Reader) find(name string) (Entry, error) {
	e, ok := r.Entry(name)
	if !ok {
		return Entry{}, fmt.Errorf("read bundle: entry %q: %w", name, fs.ErrNotExist)
	}
	return e, nil
}

func (r *Reader) section(e Entry) *io.SectionReader {
	return io.NewSectionReader(r.src, e.Offset, e.Size)
}
