package parts

import (
	"container/list"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"bundle/layout/parity"
)

const blockBits = 20 // of parity.BlockSize

// cachedBlocks is how many blocks are kept: each reader of a blob takes several
// reads to get through one.
const cachedBlocks = 16

// A repairer gives blocks of columns, as they are on the media where they have
// their checksum, else computed from the other columns.
type repairer struct {
	code *parity.Code
	sums *parity.Sums // nil: nothing tells whether a block is right

	mu    sync.Mutex
	cache map[blockID]*list.Element
	order *list.List // of *cached, the last used first
	bad   map[blockID]error

	stripes  sync.Mutex // one at a time: they are large
	scratch  parity.Stripes
	computed int64
}

type blockID struct {
	column int
	block  int64
}

type cached struct {
	id   blockID
	data []byte
}

// protect looks for what the set can be repaired with.
func (f *File) protect(s *scan) error {
	p := f.set.Parity
	if p == nil {
		return nil
	}
	code, err := parity.New(p.Data, p.Parity)
	if err != nil {
		return err
	}
	f.repair = &repairer{
		code: code, sums: f.readSums(s),
		cache: make(map[blockID]*list.Element), order: list.New(), bad: make(map[blockID]error),
	}
	return nil
}

// readSums merges the lists of blocks that are there.
func (f *File) readSums(s *scan) *parity.Sums {
	var sums *parity.Sums
	for _, x := range s.files {
		if !strings.HasSuffix(x.name(), BlocksSuffix) {
			continue
		}
		if x.size != f.set.sumsSize() {
			if x.name() == f.set.Name+BlocksSuffix {
				f.problems = append(f.problems, &PartError{x.path, fmt.Errorf("%d bytes, and not %d", x.size, f.set.sumsSize())})
			}
			continue // of another bundle
		}
		more, err := readSums(x.path)
		if err == nil && !f.describes(more) {
			continue // of another bundle
		}
		switch {
		case err != nil:
			f.problems = append(f.problems, &PartError{x.path, err})
		case sums == nil:
			sums, f.small[BlocksSuffix] = more, x.path
		case !sums.Merge(more):
			f.problems = append(f.problems, &PartError{x.path, errors.New("another list of blocks says something else")})
		}
	}
	return sums
}

func (f *File) describes(sums *parity.Sums) bool {
	p := f.set.Parity
	return hex.EncodeToString(sums.ID[:]) == f.set.ID && sums.Data == p.Data && sums.Parity == p.Parity && sums.Blocks == p.Blocks
}

// sumsSize is what a list of blocks of the set has, in bytes.
func (s *Set) sumsSize() int64 {
	return parity.SumsSize(s.Parity.Data+s.Parity.Parity, s.Parity.Blocks)
}

func readSums(path string) (*parity.Sums, error) {
	file, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return parity.ReadSums(file)
}

// readAt is called with f.mu held for reading.
func (r *repairer) readAt(f *File, p []byte, offset int64) (int, error) {
	c := f.set.columnAt(offset)
	begin, _ := f.set.column(c)
	block, err := r.block(f, blockID{c, (offset - begin) >> blockBits})
	if err != nil {
		return f.plain(p, offset) // some of the block may be there
	}
	return copy(p, block[(offset-begin)&(parity.BlockSize-1):]), nil
}

// block returns a block that nobody may change.
func (r *repairer) block(f *File, id blockID) ([]byte, error) {
	r.mu.Lock()
	if e := r.cache[id]; e != nil {
		r.order.MoveToFront(e)
		r.mu.Unlock()
		return e.Value.(*cached).data, nil
	}
	r.mu.Unlock()
	data := make([]byte, f.blockSize(id))
	err := r.raw(f, id, data)
	if err != nil {
		r.note(id, err)
		if rerr := r.compute(f, id, data); rerr != nil {
			var wrong *blockError
			if !errors.As(err, &wrong) {
				return nil, err
			}
			// The bytes are there, and not right: whoever verifies them says what
			// they are part of.
		}
	}
	r.keep(id, data)
	return data, nil
}

func (r *repairer) keep(id blockID, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cache[id] != nil {
		return
	}
	r.cache[id] = r.order.PushFront(&cached{id, data})
	if r.order.Len() > cachedBlocks {
		last := r.order.Back()
		r.order.Remove(last)
		delete(r.cache, last.Value.(*cached).id)
	}
}

// note keeps what is wrong with blocks, as long as that fits.
func (r *repairer) note(id blockID, err error) {
	var missing *MissingError
	if errors.As(err, &missing) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.bad) < 1<<16 {
		r.bad[id] = err
	}
}

// A blockError says that a block is not what the list says.
type blockError struct{ id blockID }

func (e *blockError) Error() string {
	return fmt.Sprintf("block %d has another checksum than in the list of blocks", e.id.block)
}

// blockSize is how many bytes of a column a block has: the last may be short.
func (f *File) blockSize(id blockID) int64 {
	if id.column >= f.set.Parity.Data {
		return f.set.parityBlock(id.block)
	}
	_, size := f.set.column(id.column)
	return max(min(parity.BlockSize, size-id.block<<blockBits), 0)
}

// raw reads a block as it is on its medium.
func (r *repairer) raw(f *File, id blockID, data []byte) error {
	if c := id.column - f.set.Parity.Data; c >= 0 {
		x := f.columnList()[c]
		if x == nil || x.to < id.block<<blockBits+int64(len(data)) {
			return &MissingError{}
		}
		if n, err := x.readAt(data, id.block<<blockBits); n < len(data) {
			return err
		}
	} else if err := f.fill(data, id); err != nil {
		return err
	}
	if r.sums == nil {
		return nil
	}
	if want, known := r.sums.At(id.column, id.block); known && parity.Sum(data) != want {
		return &blockError{id}
	}
	return nil
}

// fill reads a block of data.
func (f *File) fill(data []byte, id blockID) error {
	begin, _ := f.set.column(id.column)
	for at := begin + id.block<<blockBits; len(data) > 0; {
		n, err := f.plain(data, at)
		if n == 0 {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		data = data[n:]
		at += int64(n)
	}
	return nil
}

// compute makes a block out of the others of its stripe.
func (r *repairer) compute(f *File, id blockID, into []byte) error {
	r.stripes.Lock()
	defer r.stripes.Unlock()
	n := r.code.Data + r.code.Parity
	stripe := r.scratch.Get(n)
	defer r.scratch.Put(stripe)
	var reading errgroup.Group
	reading.SetLimit(atOnce)
	for c := range n {
		reading.Go(func() error {
			other := blockID{c, id.block}
			size := f.blockSize(other)
			err := error(&MissingError{})
			if c != id.column {
				err = r.raw(f, other, stripe[c][:size])
			}
			if err != nil {
				r.note(other, err)
				stripe[c] = stripe[c][:0]
				return nil // what that leads to is said by Reconstruct
			}
			clear(stripe[c][size:])
			return nil
		})
	}
	_ = reading.Wait()
	if err := r.code.Reconstruct(stripe); err != nil {
		return err
	}
	got := stripe[id.column][:len(into)]
	if r.sums != nil {
		if want, known := r.sums.At(id.column, id.block); known && parity.Sum(got) != want {
			return &blockError{id}
		}
	}
	copy(into, got)
	r.computed++
	return nil
}

// able reports whether a range that is not there can be computed.
func (f *File) able(from, to int64) bool {
	p := f.set.Parity
	if f.lost(0, p.Blocks) <= p.Parity {
		return true
	}
	for at := from; at < to; {
		c := f.set.columnAt(at)
		begin, _ := f.set.column(c)
		block := (at - begin) >> blockBits
		if f.lost(block, block+1) > p.Parity {
			return false
		}
		at = begin + (block+1)<<blockBits
	}
	return true
}

// lost counts the columns of which some of a range of blocks are not there.
func (f *File) lost(from, to int64) (n int) {
	p := f.set.Parity
	for c := range p.Data {
		begin, size := f.set.column(c)
		end := min(begin+to<<blockBits, begin+size)
		if at := begin + from<<blockBits; at < end && f.covered(at) < end {
			n++
		}
	}
	for _, x := range f.columnList() {
		if x == nil || x.to < min(to<<blockBits, f.set.ParitySize()) {
			n++
		}
	}
	return n
}

// columnList has an element for each column of parity.
func (f *File) columnList() []*extent {
	if f.columns == nil {
		return make([]*extent, f.set.columnsOfParity())
	}
	return f.columns
}

// Column returns a column, repaired where that is needed and can be. Of a column of
// data, this is the part, or the slice of the file.
func (f *File) Column(c int) *io.SectionReader {
	if c < f.set.Parity.Data {
		begin, size := f.set.column(c)
		return io.NewSectionReader(f, begin, size)
	}
	return io.NewSectionReader(parityReader{f, c}, 0, f.set.ParitySize())
}

// A parityReader reads a column of parity.
type parityReader struct {
	f *File
	c int
}

func (r parityReader) ReadAt(p []byte, offset int64) (int, error) {
	r.f.mu.RLock()
	defer r.f.mu.RUnlock()
	done := 0
	for done < len(p) {
		at := offset + int64(done)
		if at >= r.f.set.ParitySize() {
			return done, io.EOF
		}
		id := blockID{r.c, at >> blockBits}
		data := make([]byte, r.f.blockSize(id))
		if err := r.f.repair.raw(r.f, id, data); err != nil {
			if err := r.f.repair.compute(r.f, id, data); err != nil {
				return done, fmt.Errorf("%s: %w", r.f.set.ColumnName(r.c), err)
			}
		}
		done += copy(p[done:], data[at&(parity.BlockSize-1):])
	}
	return done, nil
}
