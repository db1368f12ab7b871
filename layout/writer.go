package layout

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
)

// partialSuffix is added to a bundle's path while it is being written.
const partialSuffix = ".partial"

// Writer writes a bundle at the offsets of its plan. Its methods may be called
// concurrently.
type Writer struct {
	plan    *Plan
	path    string
	partial string
	file    *os.File
	slice   Range // of the bundle, that the file has

	mu    sync.Mutex
	blobs map[digest.Digest]*pending // those without Data in the plan
	left  int                        // how many of them are not done
	err   error                      // set once the writer is at its end

	inOrder bool         // see InOrder
	written atomic.Int64 // bytes of them that are in the file, verified or not
	resumed int64        // those that an earlier run wrote
	old     *Reader      // a partial file of another plan; nil: none
	oldFile *os.File
}

// pending is a blob that the plan leaves to be written.
type pending struct {
	entry Entry
	at    int     // which entry it is
	piece Range   // of it, that the file is to have
	left  []Range // what the file has of it, unverified
	open  bool
	done  bool
}

func (b *pending) whole() bool { return b.piece == Range{0, b.entry.Size} }

var (
	// errInOrder says that a file gets longer only by writing all of it.
	errInOrder = errors.New("the file system cannot reserve room")

	errCommitted = errors.New("bundle is committed already")
	errAborted   = errors.New("bundle writer is closed")
)

// Create begins the bundle at path. It writes to path + ".partial": all
// headers and all content that the plan knows; the room for the rest is
// reserved where the file system can. What stands at path stays as it is until
// [Writer.Commit].
//
// A partial file that a dead run with the same plan left behind is gone on with:
// [Writer.Resumed] says how much of it is there. From one of another plan,
// [Writer.Salvage] takes blobs. One that another run is writing gives [ErrInUse].
// Too little room gives a [*SpaceError], and a file system without files of that
// size an error that is EFBIG.
func Create(path string, p *Plan) (*Writer, error) {
	return create(path, p, Range{0, p.size}, false)
}

// CreateInOrder is Create for a file that is to grow from its begin to its end;
// see [Writer.InOrder].
func CreateInOrder(path string, p *Plan) (*Writer, error) {
	return create(path, p, Range{0, p.size}, true)
}

// CreateSlice is Create for a file that has a slice of the bundle and no more. Of
// blobs that are cut it takes the pieces that lie in it; whether such a blob has
// its digest is found out by who reads all its pieces.
func CreateSlice(path string, p *Plan, slice Range, inOrder bool) (*Writer, error) {
	return create(path, p, slice, inOrder)
}

func create(path string, p *Plan, slice Range, inOrder bool) (*Writer, error) {
	if err := checkDestination(path); err != nil {
		return nil, fmt.Errorf("create bundle: %w", err)
	}
	partial := path + partialSuffix
	file, err := openPartial(partial)
	if err != nil {
		return nil, fmt.Errorf("create bundle: %s: %w", partial, err)
	}
	w := &Writer{plan: p, path: path, partial: partial, file: file, slice: slice, inOrder: inOrder, blobs: make(map[digest.Digest]*pending)}
	for i, e := range p.entries {
		if piece, in := slice.piece(e); in && p.data[i] == nil {
			d, _ := BlobDigest(e.Name)
			w.blobs[d] = &pending{entry: e, at: i, piece: piece}
		}
	}
	w.left = len(w.blobs)
	if err := w.begin(); err != nil {
		_ = w.Close() // the first error says more
		return nil, fmt.Errorf("create bundle: %w", err)
	}
	return w, nil
}

// begin goes on with what is in the file, or writes it anew.
func (w *Writer) begin() error {
	if w.slice != (Range{0, w.plan.size}) {
		return w.beginSlice()
	}
	if r, ok := w.continues(); ok {
		return w.resume(r)
	}
	if err := w.setAside(); err != nil {
		return err
	}
	err := w.reserve(0)
	var space *SpaceError
	if errors.As(err, &space) && w.old != nil {
		w.dropOld() // no room for both
		err = w.reserve(0)
	}
	if err != nil {
		return err
	}
	return w.writeHeads(0)
}

// checkDestination refuses early what the rename at the end would refuse, or
// would replace though it is no file.
func checkDestination(path string) error {
	folder := filepath.Dir(path)
	info, err := os.Stat(folder)
	if err != nil {
		return fmt.Errorf("folder of %s: %w", path, err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a folder", folder)
	}
	info, err = os.Stat(path)
	switch {
	case path == "" || os.IsPathSeparator(path[len(path)-1]):
		return fmt.Errorf("%q names no file", path)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir():
		return &NotFileError{path, "a folder"}
	case !info.Mode().IsRegular():
		return &NotFileError{path, "not a regular file"}
	}
	return checkReplaced(path, info.Size())
}

// CheckOutput refuses early what [Create] refuses of the path: a folder that is not
// there, what is no file, and a file that is not a bundle, an [*OccupiedError].
func CheckOutput(path string) error {
	if err := checkDestination(path); err != nil {
		return fmt.Errorf("create bundle: %w", err)
	}
	return nil
}

// checkReplaced requires that a file begins as a bundle does, or is empty. One that
// cannot be read is somebody's.
func checkReplaced(path string, size int64) error {
	if size == 0 {
		return nil
	}
	file, err := os.Open(path)
	if isInUse(err) {
		return fmt.Errorf("%s: %w", path, ErrInUse)
	}
	if err != nil {
		return &OccupiedError{path}
	}
	defer file.Close()
	head := make([]byte, blockSize)
	if _, err := io.ReadFull(file, head); err != nil {
		return &OccupiedError{path}
	}
	name, _, _ := bytes.Cut(head[:len(LayoutFile)+1], []byte{0})
	if string(name) != LayoutFile || string(head[257:262]) != "ustar" {
		return &OccupiedError{path}
	}
	return nil
}

// reserve gives the file, which has so many bytes, its full size, with all blocks
// behind it where the system can do that: a full disk is met before the first
// blob.
func (w *Writer) reserve(have int64) error {
	size := w.slice.To - w.slice.From
	if err := checkSpace(w.file, w.path, size-have); err != nil {
		return err
	}
	err := largest(w.file, size)
	if err != nil {
		return fmt.Errorf("%s: %d bytes: %w", w.path, size, err)
	}
	if w.inOrder {
		return nil
	}
	err = reserve(w.file, w.path, size)
	if errors.Is(err, errInOrder) {
		w.inOrder = true
		return nil
	}
	return err
}

// InOrder reports whether blobs are better written in the order of the plan. FAT
// and exFAT have no holes: for a byte beyond the end of a file, the system writes
// zeros up to there, and what belongs there is written after all. Any order gives
// the same file.
func (w *Writer) InOrder() bool { return w.inOrder }

// writeHeads writes headers and known content from the i-th entry on. Padding
// and trailer need no writing: the reserved file reads as zeros. In order, the
// headers of other blobs wait until these are written.
func (w *Writer) writeHeads(i int) error {
	for ; i < len(w.plan.entries); i++ {
		if w.inOrder && w.plan.data[i] == nil && w.plan.entries[i].Offset > w.slice.From {
			return nil
		}
		if err := w.writeHead(i); err != nil {
			return err
		}
	}
	return nil
}

func (w *Writer) writeHead(i int) error {
	e := w.plan.entries[i]
	block, err := w.plan.header(i)
	if err != nil {
		return err
	}
	return w.writeAt(e, append(block, w.plan.data[i]...), e.Offset-blockSize)
}

func (w *Writer) writeAt(e Entry, p []byte, offset int64) error {
	from, to := max(offset, w.slice.From), min(offset+int64(len(p)), w.slice.To)
	if from >= to {
		return nil
	}
	if _, err := w.file.WriteAt(p[from-offset:to-offset], from-w.slice.From); err != nil {
		return fmt.Errorf("entry %s: %w", e.Name, err)
	}
	return nil
}

// take marks a blob as being written.
func (w *Writer) take(d digest.Digest) (*pending, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.blobs[d]
	switch {
	case w.err != nil:
		return nil, fmt.Errorf("write blob %s: %w", d, w.err)
	case b == nil:
		return nil, fmt.Errorf("write blob %s: the plan has no such blob to be written", d)
	case b.done:
		return nil, fmt.Errorf("write blob %s: written already", d)
	case b.open:
		return nil, fmt.Errorf("write blob %s: being written already", d)
	}
	b.open = true
	return b, nil
}

// Commit ends a bundle whose blobs are all written: it makes the file durable,
// gives it its name, and makes that durable. After an error neither the bundle
// nor a partial file is left, but after a [*FlushError], which leaves the bundle.
func (w *Writer) Commit() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return fmt.Errorf("commit bundle: %w", w.err)
	}
	err := w.complete()
	if err == nil && w.inOrder {
		err = w.file.Truncate(w.slice.To - w.slice.From) // padding and trailer
	}
	if err == nil {
		err = w.file.Sync()
	}
	if err == nil {
		err = commitFile(w.file, w.partial, w.path)
	}
	if err != nil {
		_ = w.abort() // the first error says more
		return fmt.Errorf("commit bundle: %w", err)
	}
	w.err = errCommitted
	w.dropOld()
	if err := SyncFolder(filepath.Dir(w.path)); err != nil {
		return &FlushError{w.path, err} // what is whole stays: what it replaced is gone
	}
	return nil
}

// complete names the first blob that is not written.
func (w *Writer) complete() error {
	if w.left == 0 {
		return nil
	}
	for _, e := range w.plan.entries {
		d, _ := BlobDigest(e.Name)
		if b := w.blobs[d]; b != nil && !b.done {
			return fmt.Errorf("%d of %d blobs are not written, the first is %s", w.left, len(w.blobs), d)
		}
	}
	return nil
}

// Close gives a bundle up that is not committed, and removes the partial file.
// After Commit it does nothing.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return nil
	}
	if err := w.abort(); err != nil {
		return fmt.Errorf("give bundle up: %w", err)
	}
	return nil
}

// Suspend ends the work on a bundle that is not committed, and leaves the
// partial file: a later [Create] with the same plan goes on with it. After
// Commit or Close it does nothing.
func (w *Writer) Suspend() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return nil
	}
	w.err = errAborted
	w.dropOld()
	if err := w.file.Close(); err != nil {
		return fmt.Errorf("suspend bundle: %w", err)
	}
	return nil
}

func (w *Writer) abort() error {
	w.err = errAborted
	w.dropOld()
	return discardFile(w.file, w.partial)
}

// release ends the work on a blob. left is what the file has of it.
func (w *Writer) release(b *pending, left []Range, done bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b.open, b.done, b.left = false, done, left
	if done {
		w.left--
	}
}
