package serve

import (
	"context"
	"errors"
	"hash/maphash"
	"io"
	"runtime"
	"sync"

	"github.com/opencontainers/go-digest"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/open"
	"bundle/layout"
)

// block is the size of the parts of a blob that have a checksum of their own. A variable
// for the tests, whose blobs are small.
var block int64 = 256 << 10

// A store is the blobs of several bundles, and what is known of them.
type store struct {
	bundles []*open.Bundle
	damaged func(d digest.Digest, err error) // told once for each blob
	seed    maphash.Seed                     // nobody knows it: who changes a file cannot aim for a sum

	mu       sync.Mutex
	bad      map[location]bool
	sums     map[location][]uint64      // of each block, of those that were read whole and right
	checking map[location]chan struct{} // closed when the one who reads a blob is done
	readers  chan struct{}              // how many may read whole blobs for the sake of parts
}

// A location is one blob in one bundle.
type location struct {
	bundle *open.Bundle
	digest digest.Digest
}

func newStore(bundles []*open.Bundle, damaged func(digest.Digest, error)) *store {
	return &store{
		bundles: bundles, damaged: damaged, seed: maphash.MakeSeed(),
		bad: make(map[location]bool), sums: make(map[location][]uint64), checking: make(map[location]chan struct{}),
		readers: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
}

// find returns where a blob is whole, as far as anybody knows, and its size. Of a bundle
// in parts, some may be on no medium that was given.
func (s *store) find(d digest.Digest) (location, int64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.bundles {
		at := location{b, d}
		if e, ok := b.Reader.Entry(layout.BlobName(d)); ok && !s.bad[at] && b.Has(d) {
			return at, e.Size, true
		}
	}
	return location{}, 0, false
}

// refuse notes what reading a blob came to. An error that is not the blob's fault
// may pass.
func (s *store) refuse(at location, err error) {
	if err == nil || fault.KindOf(err) != fault.Damaged {
		return
	}
	s.mu.Lock()
	known := s.bad[at]
	s.bad[at] = true
	delete(s.sums, at)
	s.mu.Unlock()
	if !known {
		s.damaged(at.digest, err)
	}
}

// refused is how many blobs are damaged.
func (s *store) refused() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.bad)
}

// document reads a manifest.
func (s *store) document(at location) ([]byte, error) {
	b, err := at.bundle.Reader.ReadBlob(at.digest, layout.MaxManifestSize)
	s.refuse(at, err)
	return b, err
}

// whole opens a blob to be read from its begin to its end. Its last bytes come only
// if all of it is right. Who comes after the first needs not hash all of it again.
func (s *store) whole(at location, size int64) *content {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sums, known := s.sums[at]; known {
		return &content{store: s, at: at, size: size, sums: sums}
	}
	c := &content{store: s, at: at, size: size}
	c.hash.SetSeed(s.seed)
	return c
}

// know notes the sums of a blob that was read whole and is right.
func (s *store) know(at location, sums []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.bad[at] {
		s.sums[at] = sums
	}
}

// part opens a blob to be read from anywhere, once all of it was read and found
// right.
func (s *store) part(ctx context.Context, at location, size int64) (*content, error) {
	sums, err := s.check(ctx, at)
	if err != nil {
		return nil, err
	}
	return &content{store: s, at: at, size: size, sums: sums}, nil
}

// check reads a blob whole, unless that was done before. Those who want the same one
// wait for the first.
func (s *store) check(ctx context.Context, at location) ([]uint64, error) {
	for {
		s.mu.Lock()
		if sums, done := s.sums[at]; done {
			s.mu.Unlock()
			return sums, nil
		}
		busy, waits := s.checking[at]
		if !waits {
			busy = make(chan struct{})
			s.checking[at] = busy
		}
		s.mu.Unlock()
		if !waits {
			return s.hash(ctx, at, busy)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-busy:
		}
	}
}

func (s *store) hash(ctx context.Context, at location, busy chan struct{}) (sums []uint64, err error) {
	select {
	case s.readers <- struct{}{}:
		sums, err = s.blockSums(ctx, at)
		<-s.readers
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.refuse(at, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.sums[at] = sums
	}
	delete(s.checking, at)
	close(busy)
	return sums, err
}

// blockSums are the checksums of the blocks of a blob that is right.
func (s *store) blockSums(ctx context.Context, at location) ([]uint64, error) {
	rc, err := at.bundle.OpenBlob(at.digest)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	sums := []uint64{}
	buf := make([]byte, block)
	for ctx.Err() == nil {
		n, err := io.ReadFull(rc, buf)
		if n > 0 {
			sums = append(sums, maphash.Bytes(s.seed, buf[:n]))
		}
		if errors.Is(err, io.EOF) || err == io.ErrUnexpectedEOF {
			return sums, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, ctx.Err()
}

// A content is a blob as http.ServeContent reads it. After an error, err tells it:
// ServeContent keeps it to itself.
type content struct {
	store *store
	at    location
	size  int64
	sums  []uint64 // nil: it is read from its begin to its end
	off   int64
	err   error

	stream io.ReadCloser
	hash   maphash.Hash // of the block that the stream is in
	passed []uint64     // sums of those before

	buf   []byte // one block, from begin on
	begin int64
}

// Seek goes anywhere; who reads a stream has to be at its location when it reads.
func (c *content) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += c.off
	case io.SeekEnd:
		offset += c.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the begin")
	}
	c.off = offset
	return offset, nil
}

func (c *content) Read(p []byte) (n int, err error) {
	if c.err != nil {
		return 0, c.err
	}
	if c.sums == nil {
		n, err = c.readStream(p)
	} else {
		n, err = c.readPart(p)
	}
	c.off += int64(n)
	if err != nil && err != io.EOF {
		c.fail(err)
	}
	return n, err
}

func (c *content) readStream(p []byte) (int, error) {
	if c.stream == nil {
		if c.off != 0 {
			return 0, errors.New("a part of a blob that is read whole")
		}
		rc, err := c.at.bundle.OpenBlob(c.at.digest)
		if err != nil {
			return 0, err
		}
		c.stream = rc
	}
	n, err := c.stream.Read(p)
	c.note(p[:n])
	return n, err
}

// note sums up what the stream gave. Its last bytes come if all is right.
func (c *content) note(p []byte) {
	at := c.off
	for len(p) > 0 {
		n := min(int64(len(p)), block-at%block)
		c.hash.Write(p[:n]) //nolint:errcheck // it never fails
		p, at = p[n:], at+n
		if at%block == 0 || at == c.size {
			c.passed = append(c.passed, c.hash.Sum64())
			c.hash.Reset()
		}
	}
	if at == c.size {
		c.store.know(c.at, c.passed)
	}
}

func (c *content) readPart(p []byte) (int, error) {
	ready, err := c.ready()
	return copy(p, ready), err
}

// ready is what is right from here to the end of the block. It holds until the next
// call.
func (c *content) ready() ([]byte, error) {
	if c.off >= c.size {
		return nil, io.EOF
	}
	if i := c.off / block; c.buf == nil || c.begin != i*block {
		c.begin = i * block
		if c.buf == nil {
			c.buf = *blocks.Get().(*[]byte)
		}
		c.buf = c.buf[:min(block, c.size-c.begin)]
		if err := c.at.bundle.Reader.ReadBlobAt(c.at.digest, c.buf, c.begin); err != nil {
			return nil, err
		}
		if maphash.Bytes(c.store.seed, c.buf) != c.sums[i] {
			return nil, fault.Damage(layout.BlobName(c.at.digest), errors.New("its content changed while it was served"))
		}
	}
	return c.buf[c.off-c.begin:], nil
}

// send writes the next n bytes, at most piece at a time, without copying them.
func (c *content) send(w io.Writer, n, piece int64) (sent int64, err error) {
	for sent < n && c.err == nil {
		p, err := c.ready()
		if err != nil {
			c.fail(err)
			break
		}
		m, err := w.Write(p[:min(int64(len(p)), n-sent, piece)])
		sent += int64(m)
		c.off += int64(m)
		if err != nil {
			return sent, err
		}
	}
	return sent, c.err
}

// fail notes an error that was met by reading.
func (c *content) fail(err error) {
	c.err = err
	c.store.refuse(c.at, err)
}

// blocks are buffers of contents.
var blocks = sync.Pool{New: func() any { b := make([]byte, block); return &b }}

func (c *content) close() {
	if c.buf != nil {
		c.buf = c.buf[:block]
		blocks.Put(&c.buf)
	}
	if c.stream != nil {
		c.stream.Close() //nolint:errcheck // it was only read
	}
}
