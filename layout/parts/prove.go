package parts

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"bundle/layout"
)

// A Proof goes through parts in order, each read from its medium, and requires that
// they hold what the set says: the head, every header, and blobs with the digests
// they are named by. Of a blob that is cut it keeps the state of the hash from one
// part to the next, so that parts may lie on media that are never there together. It may be used
// concurrently.
type Proof struct {
	Set    *Set
	Head   io.ReaderAt    // the begin of the bundle, as it has to be
	States map[int][]byte // by the part that begins inside a blob: the hash up to there

	mu   sync.Mutex   // guards both
	open map[int]bool // parts that were read when there was no state
}

// WrongError says that a part does not hold what it should.
type WrongError struct {
	Part  int
	Entry string // the entry that is wrong
	What  string
	First int // the part that the entry begins in, where that is another: any of its pieces may be wrong; else 0
}

// Error names the parts.
func (e *WrongError) Error() string {
	if e.First > 0 {
		return fmt.Sprintf("parts %d to %d: %s, which is cut: %s", e.First, e.Part, e.Entry, e.What)
	}
	return fmt.Sprintf("part %d: %s: %s", e.Part, e.Entry, e.What)
}

// Damaged says that the file is to blame.
func (e *WrongError) Damaged() bool { return true }

// Part reads part number k from r, and returns the SHA-256 of it, in hex. Where it
// begins inside a blob, and the part before was never read, that blob is not
// proved; proved says so. told is called with the bytes that were read.
func (p *Proof) Part(ctx context.Context, k int, r io.Reader, told func(int64)) (sum string, proved bool, err error) {
	return p.walk(k).read(ctx, r, told)
}

// Written is Part for one whose blobs were verified when they were written: of these
// it hashes no more than those that are cut.
func (p *Proof) Written(ctx context.Context, k int, r io.Reader, told func(int64)) (sum string, proved bool, err error) {
	w := p.walk(k)
	w.cutOnly = true
	return w.read(ctx, r, told)
}

// Late proves the blob that part number k begins in, where [Proof.Open] says so. It
// reads no more of the part than that.
func (p *Proof) Late(ctx context.Context, k int, r io.ReaderAt) error {
	w := p.walk(k)
	w.cutOnly = true
	if i := w.first(); i < len(p.Set.entries) {
		w.end = min(w.end, p.Set.entries[i].Offset+p.Set.entries[i].Size)
	}
	_, _, err := w.read(ctx, io.NewSectionReader(r, 0, w.end-w.at), func(int64) {})
	return err
}

func (p *Proof) walk(k int) *walk {
	part := p.Set.Parts[k-1]
	return &walk{proof: p, part: k, at: part.Offset, end: part.Offset + part.Size, proved: true}
}

// read goes through the part.
func (w *walk) read(ctx context.Context, r io.Reader, told func(int64)) (sum string, proved bool, err error) {
	k, whole := w.part, sha256.New()
	if err := w.begin(); err != nil {
		return "", false, err
	}
	buf, next := make([]byte, 256<<10), make([]byte, 256<<10)
	n, err := io.ReadFull(r, buf)
	for w.at < w.end && ctx.Err() == nil {
		switch {
		case n == 0 && err == io.EOF:
			return "", false, &WrongError{Part: k, Entry: "its end", What: fmt.Sprintf("%d bytes are missing", w.end-w.at)}
		case n == 0:
			return "", false, fmt.Errorf("part %d: %w", k, err)
		}
		told(int64(n))
		if int64(n) > w.end-w.at {
			return "", false, &WrongError{Part: k, Entry: "its end", What: "there is more behind it"}
		}
		// The hash of the part is computed while that of the blob is.
		var hashing errgroup.Group
		piece := buf[:n]
		hashing.Go(func() error {
			_, err := whole.Write(piece)
			return err
		})
		werr := w.write(piece)
		m := 0
		if werr == nil {
			m, err = io.ReadFull(r, next)
		}
		_ = hashing.Wait() // a hash takes everything
		if werr != nil {
			return "", false, werr
		}
		if m == 0 && err != io.EOF && w.at < w.end {
			return "", false, fmt.Errorf("part %d: %w", k, err)
		}
		n, buf, next = m, next, buf
	}
	if ctx.Err() != nil {
		return "", false, ctx.Err()
	}
	if n > 0 {
		return "", false, &WrongError{Part: k, Entry: "its end", What: "there is more behind it"}
	}
	return hex.EncodeToString(whole.Sum(nil)), w.proved, w.finish()
}

// A walk goes through one part.
type walk struct {
	proof   *Proof
	part    int
	at, end int64 // in the bundle
	proved  bool
	cutOnly bool // blobs that are whole in the part were verified before

	entry int       // number of the entry that at is in, or before
	hash  hash.Hash // of the content so far; nil: not known from its begin
}

// first is the entry that the part begins in, or the one after.
func (w *walk) first() int {
	i, _ := slices.BinarySearchFunc(w.proof.Set.entries, w.at+1, func(e layout.Entry, at int64) int { return compare(e.Offset+e.Size, at) })
	return i
}

// begin finds out where the part begins.
func (w *walk) begin() error {
	s, i := w.proof.Set, w.first()
	w.entry = i
	if i == len(s.entries) || s.entries[i].Offset >= w.at {
		return nil
	}
	w.proof.mu.Lock()
	defer w.proof.mu.Unlock()
	state := w.proof.States[w.part]
	if w.proof.open == nil {
		w.proof.open = make(map[int]bool)
	}
	w.proof.open[w.part] = state == nil
	if state == nil {
		w.proved = false
		return nil
	}
	w.hash = sha256.New()
	if err := w.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(state); err != nil {
		return fmt.Errorf("part %d: %w", w.part, err)
	}
	return nil
}

func (w *walk) write(p []byte) error {
	s := w.proof.Set
	for len(p) > 0 {
		switch {
		case w.at < s.Head:
			n := min(int64(len(p)), s.Head-w.at)
			want := make([]byte, n)
			if _, err := w.proof.Head.ReadAt(want, w.at); err != nil {
				return err
			}
			if !bytes.Equal(p[:n], want) {
				return &WrongError{Part: w.part, Entry: "head", What: "not what was planned"}
			}
			p = p[n:]
			w.at += n
		case w.entry < len(s.entries) && w.at >= s.entries[w.entry].Offset:
			n, err := w.content(p, s.entries[w.entry])
			if err != nil {
				return err
			}
			p = p[n:]
		default:
			frame, _, err := s.frame(w.at)
			if err != nil {
				return err
			}
			n := min(len(p), len(frame))
			if !bytes.Equal(p[:n], frame[:n]) {
				return &WrongError{Part: w.part, Entry: "header or padding", What: fmt.Sprintf("damaged at byte %d of the bundle", w.at)}
			}
			p = p[n:]
			w.at += int64(n)
			if err := w.empty(); err != nil {
				return err
			}
		}
	}
	return nil
}

// empty passes entries without content.
func (w *walk) empty() error {
	s := w.proof.Set
	for w.entry < len(s.entries) && s.entries[w.entry].Size == 0 && w.at >= s.entries[w.entry].Offset {
		w.hash = sha256.New()
		if err := w.compare(s.entries[w.entry]); err != nil {
			return err
		}
		w.entry++
	}
	return nil
}

// content takes what of p belongs to an entry.
func (w *walk) content(p []byte, e layout.Entry) (int64, error) {
	if w.at == e.Offset && !(w.cutOnly && e.Offset+e.Size <= w.end) {
		w.hash = sha256.New()
	}
	n := min(int64(len(p)), e.Offset+e.Size-w.at)
	if w.hash != nil {
		w.hash.Write(p[:n])
	}
	w.at += n
	if w.at < e.Offset+e.Size {
		return n, nil
	}
	w.entry++
	if err := w.compare(e); err != nil {
		return 0, err
	}
	return n, w.empty()
}

func (w *walk) compare(e layout.Entry) error {
	h := w.hash
	if w.hash = nil; h == nil {
		return nil
	}
	want, _ := layout.BlobDigest(e.Name)
	if got := digest.NewDigest(digest.SHA256, h); got != want {
		wrong := &WrongError{Part: w.part, Entry: e.Name, What: "content has the digest " + got.String()}
		if first := w.proof.Set.partAt(e.Offset); first < w.part {
			wrong.First = first
		}
		return wrong
	}
	return nil
}

// finish keeps what the next part needs.
func (w *walk) finish() error {
	s := w.proof.Set
	if w.entry == len(s.entries) || s.entries[w.entry].Offset >= w.at || w.hash == nil {
		return nil
	}
	state, err := w.hash.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return fmt.Errorf("part %d: %w", w.part, err)
	}
	w.proof.mu.Lock()
	defer w.proof.mu.Unlock()
	if w.proof.States == nil {
		w.proof.States = make(map[int][]byte)
	}
	w.proof.States[w.part+1] = state
	return nil
}

// Open reports whether part k begins inside a blob whose begin was not known when
// it was read, and is by now.
func (p *Proof) Open(k int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open[k] && p.States[k] != nil
}

// Snapshot returns a copy of the states of hashes.
func (p *Proof) Snapshot() map[int][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.States)
}

// Forget drops what is known of the begin of the blob that a [WrongError] is about:
// pieces of it are written again.
func (p *Proof) Forget(wrong *WrongError) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k := range wrong.Part {
		if wrong.First > 0 && k >= wrong.First {
			delete(p.States, k+1)
		}
	}
}
