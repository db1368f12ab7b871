package layout

import (
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
)

// Range is a part of a blob: the bytes from From up to To, To not included.
type Range struct{ From, To int64 }

// Assembly is a blob whose ranges are written in any order, by many at once,
// each byte once. What is written at the end of what was hashed already is
// hashed while it passes; Close reads the rest back, so that the digest is
// always that of the whole.
type Assembly struct {
	writer  *Writer
	pending *pending

	mu     sync.Mutex
	hash   content // of the bytes before left
	done   []Range // what the file has: sorted, disjoint, not adjacent
	closed bool
	err    error
}

// Assemble begins the content of a blob that the plan has without Data, or goes
// on with what an earlier run left of it: see [Assembly.Missing]. Nothing that
// was left is trusted before Close has hashed it. One blob is assembled once at
// a time.
func (w *Writer) Assemble(d digest.Digest) (*Assembly, error) {
	b, err := w.take(d)
	if err != nil {
		return nil, err
	}
	if w.inOrder {
		if err := w.writeHead(b.at); err != nil {
			w.release(b, b.left, false)
			return nil, err
		}
	}
	return &Assembly{writer: w, pending: b, hash: newContent(b.entry.Size, d), done: slices.Clone(b.left)}, nil
}

// Missing returns the ranges that are still to be written, in order.
func (a *Assembly) Missing() []Range {
	a.mu.Lock()
	defer a.mu.Unlock()
	var missing []Range
	at := a.pending.piece.From
	for _, r := range a.done {
		if r.From > at {
			missing = append(missing, Range{at, r.From})
		}
		at = r.To
	}
	if end := a.pending.piece.To; at < end {
		missing = append(missing, Range{at, end})
	}
	return missing
}

// Piece returns which bytes of the blob belong into the file: all, but for one
// that a slice cuts.
func (a *Assembly) Piece() Range { return a.pending.piece }

// WriteAt writes p at an offset of the blob. Writing beyond its size is a
// [*ContentError]; what was written before cannot be written again. Errors stay.
func (a *Assembly) WriteAt(p []byte, offset int64) (int, error) {
	r := Range{offset, offset + int64(len(p))}
	if err := a.check(r); err != nil {
		return 0, err
	}
	entry := a.pending.entry
	if err := a.writer.writeAt(entry, p, entry.Offset+offset); err != nil {
		return 0, a.fail(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return 0, a.err
	}
	if !a.add(r) {
		a.err = fmt.Errorf("entry %s: bytes %d to %d are written twice", entry.Name, r.From, r.To)
		return 0, a.err
	}
	a.writer.written.Add(int64(len(p)))
	if a.pending.whole() && offset == a.hash.size-a.hash.left {
		a.hash.add(p)
	}
	return len(p), nil
}

func (a *Assembly) check(r Range) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.closed:
		return fmt.Errorf("write blob %s: %w", a.hash.want, fs.ErrClosed)
	case a.err != nil:
		return a.err
	case r.From < a.pending.piece.From || r.To > a.pending.piece.To:
		a.err = contentErrorf(a.pending.entry.Name, "is longer than %d bytes", a.hash.size)
		return a.err
	}
	return nil
}

func (a *Assembly) fail(err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err == nil {
		a.err = err
	}
	return a.err
}

// add notes r as written, and reports whether it was not before.
func (a *Assembly) add(r Range) bool {
	if r.From == r.To {
		return true
	}
	i, _ := slices.BinarySearchFunc(a.done, r, func(x, y Range) int { return int(min(max(x.From-y.From, -1), 1)) })
	before := i > 0 && a.done[i-1].To >= r.From
	after := i < len(a.done) && a.done[i].From <= r.To
	switch {
	case before && a.done[i-1].To > r.From, after && a.done[i].From < r.To:
		return false
	case before && after:
		a.done[i-1].To = a.done[i].To
		a.done = slices.Delete(a.done, i, i+1)
	case before:
		a.done[i-1].To = r.To
	case after:
		a.done[i].From = r.From
	default:
		a.done = slices.Insert(a.done, i, r)
	}
	return true
}

// Reset forgets everything that is there of the blob, and every error but that
// of a Close: it is missing as a whole.
func (a *Assembly) Reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.writer.written.Add(-a.present())
	a.done, a.err = nil, nil
	a.hash = newContent(a.hash.size, a.hash.want)
}

// present is called with mu held.
func (a *Assembly) present() (n int64) {
	for _, r := range a.done {
		n += r.To - r.From
	}
	return n
}

// Verify hashes what is not hashed yet and compares. A [*ContentError] says that
// content is short or wrong; after a Reset it may be written anew. Nothing may
// be written meanwhile.
func (a *Assembly) Verify() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return a.err
	}
	if !a.pending.whole() {
		return a.complete()
	}
	if err := a.readBack(); err != nil {
		return err
	}
	if what := a.hash.check(); what != "" {
		return contentErrorf(a.pending.entry.Name, "%s", what)
	}
	return nil
}

// complete is all that can be said of a piece.
func (a *Assembly) complete() error {
	if n := a.pending.piece.To - a.pending.piece.From; a.present() != n {
		return contentErrorf(a.pending.entry.Name, "ends after %d of %d bytes", a.present(), n)
	}
	return nil
}

// readBack hashes what was written without being hashed, as far as there is no
// gap.
func (a *Assembly) readBack() error {
	if len(a.done) == 0 || a.done[0].From > 0 || a.done[0].To == a.hash.size-a.hash.left {
		return nil
	}
	entry := a.pending.entry
	buf := make([]byte, min(256<<10, entry.Size))
	for at := a.hash.size - a.hash.left; at < a.done[0].To; {
		part := buf[:min(int64(len(buf)), a.done[0].To-at)]
		if _, err := a.writer.file.ReadAt(part, entry.Offset+at-a.writer.slice.From); err != nil {
			return fmt.Errorf("entry %s: read back: %w", entry.Name, err)
		}
		a.hash.add(part)
		at += int64(len(part))
	}
	return nil
}

// Close ends the blob. Without a Verify that found everything right it verifies
// itself. After an error the blob counts as not written and may be assembled
// again.
func (a *Assembly) Close() error {
	a.mu.Lock()
	closed := a.closed
	a.closed = true
	a.mu.Unlock()
	if closed {
		return a.err
	}
	err := a.Verify()
	if err != nil {
		_ = a.fail(err) // it is what is returned
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	left := a.done
	if err != nil {
		left = nil
		a.writer.written.Add(-a.present())
	}
	a.writer.release(a.pending, left, err == nil)
	return err
}
