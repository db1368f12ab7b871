package layout

import (
	"bytes"
	"fmt"
	"math"
	"time"

	"github.com/opencontainers/go-digest"
)

// File is an entry to be planned.
type File struct {
	Name string // one of the constants, or what BlobName returns
	Size int64  // bytes
	// Data is the content, where it is known when planning; then Size is its
	// length. Nil: a blob that is written later, through [Writer.Assemble] or
	// [Stream]. Empty content that is known is empty, not nil.
	Data []byte
}

// Entry is a file inside a bundle.
type Entry struct {
	Name   string
	Size   int64 // bytes
	Offset int64 // of the content in the tar, in bytes
}

// Plan says where every byte of a bundle lies. It does not change once made.
type Plan struct {
	entries []Entry
	data    [][]byte // per entry; nil: to be written
	mtime   int64
	size    int64
}

// NewPlan lays out files in the order given, which has to be that of SPEC.md:
// oci-layout, SHA256SUMS, SHA256SUMS.sig (if signed), index.json, then blobs,
// those with Data before those without. The first four need their Data, and
// every blob's Data has to have the digest in its name. modTime, cut to whole
// seconds, becomes the mtime of every entry; it lies between 1970 and 2242.
func NewPlan(files []File, modTime time.Time) (*Plan, error) {
	p := &Plan{
		entries: make([]Entry, 0, len(files)),
		data:    make([][]byte, 0, len(files)),
		mtime:   modTime.Unix(),
	}
	if p.mtime < 0 || p.mtime > maxOctal {
		return nil, fmt.Errorf("plan: time %s is outside of what a tar header can say", modTime)
	}
	seq := newSequence()
	for _, f := range files {
		if what := seq.next(f.Name); what != "" {
			return nil, fmt.Errorf("plan: entry %q: %s", f.Name, what)
		}
		if err := p.add(f); err != nil {
			return nil, fmt.Errorf("plan: entry %q: %w", f.Name, err)
		}
	}
	if name := seq.missing(); name != "" {
		return nil, fmt.Errorf("plan: no entry %s", name)
	}
	p.size += trailerSize
	return p, nil
}

func (p *Plan) add(f File) error {
	if err := checkFile(f); err != nil {
		return err
	}
	if n := len(p.data); f.Data != nil && n > 0 && p.data[n-1] == nil {
		return fmt.Errorf("known content after content that is still to be written")
	}
	// No sum below can overflow: there is room for the header, the padding and
	// the trailer above the largest content.
	if f.Size > math.MaxInt64-p.size-4*blockSize {
		return fmt.Errorf("bundle is too large")
	}
	e := Entry{Name: f.Name, Size: f.Size, Offset: p.size + blockSize}
	p.entries = append(p.entries, e)
	p.data = append(p.data, f.Data)
	p.size = e.Offset + e.Size + padding(e.Size)
	return nil
}

func checkFile(f File) error {
	d, isBlob := BlobDigest(f.Name)
	switch {
	case f.Size < 0:
		return fmt.Errorf("negative size %d", f.Size)
	case f.Data == nil && !isBlob:
		return fmt.Errorf("its content has to be known")
	case f.Data == nil:
		return nil
	case int64(len(f.Data)) != f.Size:
		return fmt.Errorf("size is given as %d, content has %d bytes", f.Size, len(f.Data))
	case f.Name == LayoutFile && !bytes.Equal(f.Data, LayoutContent()):
		return fmt.Errorf("content is not %s", LayoutContent())
	case isBlob && digest.FromBytes(f.Data) != d:
		return fmt.Errorf("content has the digest %s", digest.FromBytes(f.Data))
	}
	return nil
}

// Size returns the size of the whole bundle in bytes.
func (p *Plan) Size() int64 { return p.size }

func (p *Plan) header(i int) ([]byte, error) {
	return encodeHeader(p.entries[i].Name, p.entries[i].Size, p.mtime)
}
