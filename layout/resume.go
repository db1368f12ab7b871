package layout

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/opencontainers/go-digest"
)

// OpenPartial opens what a dead run left of the bundle at path. Its headers and
// what was known when it began are there; blobs may be there, too, and are
// verified as they are read. It fails with fs.ErrNotExist where nothing was
// left, and with a [*FormatError] where too little was.
func OpenPartial(path string) (*Reader, io.Closer, error) {
	// Asked before: opening a pipe waits for who writes to it.
	info, err := os.Lstat(path + partialSuffix)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s: not a regular file", path+partialSuffix)
	}
	file, err := os.Open(path + partialSuffix)
	if err != nil {
		return nil, nil, err
	}
	r, err := NewHeadReader(file, info.Size())
	if err != nil {
		_ = file.Close() // nothing was written
		return nil, nil, fmt.Errorf("%s: %w", path+partialSuffix, err)
	}
	return r, file, nil
}

// OpenHead opens the begin of a bundle, which stands in a file of its own.
func OpenHead(path string) (*Reader, *os.File, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s: not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	r, err := NewHeadReader(file, info.Size())
	if err != nil {
		_ = file.Close() // nothing was written
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, file, nil
}

// Begins reports whether a file has the begin of this bundle, to its last byte.
func (p *Plan) Begins(r *Reader) bool {
	if r.mtime != p.mtime || r.Len() > len(p.entries) || !slices.Equal(r.Entries(), p.entries[:r.Len()]) {
		return false
	}
	for i, e := range p.entries[:r.Len()] {
		got, err := r.ReadFile(e.Name, e.Size)
		if err != nil || p.data[i] != nil && !bytes.Equal(got, p.data[i]) {
			return false
		}
		if d, blob := BlobDigest(e.Name); blob && digest.FromBytes(got) != d {
			return false
		}
	}
	return true
}

// Lend has Salvage take blobs from the begin of the bundle, which is in a file
// already. The writer closes the file.
func (w *Writer) Lend(r *Reader, file *os.File) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dropOld()
	w.old, w.oldFile = r, file
}

// continues reports whether the file is what this plan writes, but for blobs,
// as far as it goes; and returns what it is then.
func (w *Writer) continues() (*Reader, bool) {
	r, err := w.leftover()
	if err != nil || r.mtime != w.plan.mtime || r.Len() > len(w.plan.entries) ||
		!slices.Equal(r.Entries(), w.plan.entries[:r.Len()]) {
		return nil, false
	}
	for i, e := range w.plan.entries {
		data := w.plan.data[i]
		if data == nil {
			continue
		}
		got := make([]byte, len(data))
		if err := r.readAt(got, e.Offset, e.Name); err != nil || !bytes.Equal(got, data) {
			return nil, false
		}
	}
	return r, true
}

// leftover reads the headers of the file as it was found.
func (w *Writer) leftover() (*Reader, error) {
	info, err := w.file.Stat()
	if err != nil {
		return nil, err
	}
	return newPartialReader(w.file, info.Size())
}

// resume finds out which ranges of blobs are there.
func (w *Writer) resume(r *Reader) error {
	if err := w.extend(r); err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.err = errAborted
		return errors.Join(err, w.file.Close()) // what is there stays
	}
	size := r.reach()
	forgetRead(w.file)
	for _, b := range w.blobs {
		b.left = written(w.file, b.entry, size)
		for _, r := range b.left {
			w.resumed += r.To - r.From
		}
	}
	w.written.Store(w.resumed)
	return nil
}

// extend gives the file what it lacks beside blobs.
func (w *Writer) extend(r *Reader) error {
	have := r.size
	if have < w.plan.size {
		// What follows the last entry is no more than a part of a header or of the
		// end.
		have = r.reach()
		if err := w.file.Truncate(have); err != nil {
			return err
		}
	}
	if err := w.reserve(have); err != nil {
		return err
	}
	return w.writeHeads(r.Len())
}

// shared is how close to the end of data the file system's word for it ends to
// count: whole blocks are called data as soon as one byte was written.
const shared = 64 << 10

// written returns the ranges of an entry's content that were written, as far as
// the file system can tell. size is that of the file.
func written(file *os.File, e Entry, size int64) []Range {
	var all []Range
	end := min(e.Offset+e.Size, size)
	for at := e.Offset; at < end; {
		from, to := nextData(file, at, end)
		if from >= end {
			break
		}
		at = to
		r := Range{0, end - e.Offset}
		if from > e.Offset {
			r.From = from - e.Offset + shared
		}
		if to < end {
			r.To = to - e.Offset - shared
		}
		if r.From < r.To {
			all = append(all, r)
		}
	}
	return all
}

// setAside makes place for another plan's file, and keeps this one open where
// blobs can be taken from it.
func (w *Writer) setAside() error {
	r, err := w.leftover()
	if err != nil || r.Len() == 0 || !removesOpen {
		return w.file.Truncate(0)
	}
	old := w.file
	if err := os.Remove(w.partial); err != nil {
		return err
	}
	file, err := openPartial(w.partial)
	if err != nil {
		w.err = errAborted // what stands under the name now is another run's
		return errors.Join(err, old.Close())
	}
	w.file, w.old, w.oldFile = file, r, old
	return nil
}

func (w *Writer) dropOld() {
	if w.oldFile != nil {
		_ = w.oldFile.Close() // nobody can see it any more
		w.old, w.oldFile = nil, nil
	}
}

// Resumed returns how many bytes of blobs an earlier run left. They are not
// verified yet.
func (w *Writer) Resumed() int64 { return w.resumed }

// Written returns how many bytes of blobs are in the file, those that an earlier
// run left included. Content that turned out to be wrong does not count.
func (w *Writer) Written() int64 { return w.written.Load() }

// Salvage opens a blob that stands whole in a partial file of another plan, and
// reports whether there is one. Reading verifies it.
func (w *Writer) Salvage(d digest.Digest) (io.ReadCloser, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.old == nil {
		return nil, false
	}
	e, ok := w.old.Entry(BlobName(d))
	if !ok || !slices.Equal(written(w.oldFile, e, w.old.size), []Range{{0, e.Size}}) {
		return nil, false
	}
	rc, err := w.old.OpenBlob(d)
	return rc, err == nil
}
