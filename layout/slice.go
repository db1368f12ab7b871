package layout

import (
	"bytes"
	"errors"

	"github.com/opencontainers/go-digest"
)

// piece is what of an entry's content lies in a slice of the bundle. An entry of
// which no byte does may still have its header there.
func (r Range) piece(e Entry) (Range, bool) {
	from, to := max(r.From, e.Offset), min(r.To, e.Offset+e.Size)
	if from > to || from == to && (e.Size > 0 || e.Offset-blockSize < r.From || e.Offset > r.To) {
		return Range{}, false
	}
	return Range{from - e.Offset, to - e.Offset}, true
}

// Takes reports whether something of a blob is to be written.
func (w *Writer) Takes(d digest.Digest) bool { return w.blobs[d] != nil }

// beginSlice goes on with what is in the file of a slice, or writes it anew.
func (w *Writer) beginSlice() error {
	info, err := w.file.Stat()
	if err != nil {
		return err
	}
	have := info.Size()
	size := w.slice.To - w.slice.From
	if have == 0 || have > size || !w.sliceContinues(have) {
		if err := w.file.Truncate(0); err != nil {
			return err
		}
		if err := w.reserve(0); err != nil {
			return err
		}
		return w.writeHeads(0)
	}
	if err := w.reserve(have); err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.err = errAborted
		return errors.Join(err, w.file.Close()) // what is there stays
	}
	forgetRead(w.file) // the inside of a blob tells nothing: it would be taken for content
	for _, b := range w.blobs {
		w.findLeft(b, have)
	}
	w.written.Store(w.resumed)
	return w.writeHeads(0)
}

// findLeft finds out which ranges of a blob are in a file of so many bytes.
func (w *Writer) findLeft(b *pending, have int64) {
	e := Entry{Size: b.piece.To - b.piece.From, Offset: b.entry.Offset + b.piece.From - w.slice.From}
	for _, r := range written(w.file, e, have) {
		b.left = append(b.left, Range{r.From + b.piece.From, r.To + b.piece.From})
		w.resumed += r.To - r.From
	}
}

// sliceContinues reports whether the file holds the known content of the slice, as
// far as the file goes. Headers between blobs may not be there yet: they are
// written again.
func (w *Writer) sliceContinues(have int64) bool {
	begun := false
	for i, e := range w.plan.entries {
		block, err := w.plan.header(i)
		if err != nil {
			return false
		}
		want, at := append(block, w.plan.data[i]...), e.Offset-blockSize
		from, to := max(at, w.slice.From), min(at+int64(len(want)), w.slice.From+have)
		if from >= to {
			continue
		}
		got := make([]byte, to-from)
		if _, err := w.file.ReadAt(got, from-w.slice.From); err != nil {
			return false
		}
		same := bytes.Equal(got, want[from-at:to-at])
		if !same && (w.plan.data[i] != nil || !isZero(got[:min(len(got), blockSize)])) {
			return false
		}
		begun = begun || same
	}
	return begun || w.slice.From > 0 && len(w.blobs) == 1 // the inside of a blob has no header
}
