package remote

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

var errRetired = errors.New("attempt is over")

// meter hands out the content of an upload, one reader after the other, and
// counts what was read. An HTTP client may go on reading and closing a body after
// the request has failed: what a retired reader does no longer counts.
type meter struct {
	mu       sync.Mutex
	current  *meteredBody
	progress func(int64)
	at       int64 // position in the blob, as progress was told
	sent     int64
	err      error // from the source

	spare   io.ReadCloser // the source, where a reader left it that ended in good order
	spareAt int64
}

// open retires the reader before and returns one from offset up to end, in a
// blob of size bytes.
func (m *meter) open(src BlobSource, offset, end, size int64) (io.ReadCloser, error) {
	m.retire()
	rc, err := m.source(src, offset)
	if err != nil {
		return nil, m.fail(err)
	}
	b := &meteredBody{meter: m, rc: rc, left: end - offset, after: size - end, end: end}
	m.mu.Lock()
	m.current, m.progress = b, src.Progress
	m.mu.Unlock()
	m.set(offset)
	return b, nil
}

// source returns the content from offset on.
func (m *meter) source(src BlobSource, offset int64) (io.ReadCloser, error) {
	m.mu.Lock()
	rc := m.spare
	m.spare = nil
	m.mu.Unlock()
	if rc != nil && m.spareAt == offset {
		return rc, nil
	}
	if rc != nil {
		_ = rc.Close() // nothing was written
	}
	if src.OpenAt != nil {
		return src.OpenAt(offset)
	}
	rc, err := src.Open()
	if err != nil {
		return nil, err
	}
	if _, err := io.CopyN(io.Discard, rc, offset); err != nil {
		_ = rc.Close() // nothing was written
		return nil, fmt.Errorf("skip %d bytes: %w", offset, err)
	}
	return rc, nil
}

// keep takes the source back from a reader that ended in good order.
func (m *meter) keep(rc io.ReadCloser, at int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.spare, m.spareAt = rc, at
}

// close closes the source.
func (m *meter) close() {
	m.retire()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.spare != nil {
		_ = m.spare.Close() // nothing was written
		m.spare = nil
	}
}

// set says that the registry has n bytes, whatever was sent.
func (m *meter) set(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.move(n - m.at)
}

// move is called with mu held.
func (m *meter) move(n int64) {
	m.at += n
	if m.progress != nil && n != 0 {
		m.progress(n)
	}
}

func (m *meter) total() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sent
}

func (m *meter) failed() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

// forgive forgets what went wrong with a source: there is another.
func (m *meter) forgive() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = nil
}

func (m *meter) fail(err error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = &sourceError{err}
	return m.err
}

// retire ends the current reader.
func (m *meter) retire() {
	m.mu.Lock()
	b := m.current
	m.current = nil
	m.mu.Unlock()
	if b != nil {
		b.Close()
	}
}

// count adds n bytes unless b is retired, which it reports.
func (m *meter) count(b *meteredBody, n int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.current != b {
		return false
	}
	m.sent += int64(n)
	m.move(int64(n))
	return true
}

// meteredBody is a part of a blob. The last one demands that the source holds exactly the
// bytes that were announced.
type meteredBody struct {
	meter *meter

	mu     sync.Mutex // serializes the source's methods
	rc     io.ReadCloser
	left   int64
	after  int64 // bytes of the blob that are not this reader's
	end    int64 // where in the blob this reader ends
	closed bool
}

// Read implements io.Reader. The last bytes are given out only when the source has
// said that it is at its end: a source that verifies itself keeps what is wrong
// from ever being complete at the registry.
func (b *meteredBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, errRetired
	}
	if b.after > 0 {
		if p = p[:min(int64(len(p)), b.left)]; b.left == 0 {
			return 0, io.EOF
		}
	}
	n, err := b.rc.Read(p)
	for err == nil && int64(n) == b.left && b.after == 0 {
		var more [1]byte
		var extra int
		extra, err = b.rc.Read(more[:])
		n += extra
	}
	switch {
	case err != nil && err != io.EOF:
		return 0, b.meter.fail(err)
	case int64(n) > b.left:
		return 0, b.meter.fail(errors.New("content is longer than its descriptor says"))
	case err == io.EOF && int64(n) < b.left+b.after:
		return 0, b.meter.fail(fmt.Errorf("content ends %d bytes early: %w", b.left+b.after-int64(n), io.ErrUnexpectedEOF))
	}
	b.left -= int64(n)
	if !b.meter.count(b, n) {
		return 0, errRetired
	}
	return n, err
}

// Close implements io.Closer.
func (b *meteredBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	if b.left == 0 && b.after > 0 {
		b.meter.keep(b.rc, b.end)
		return nil
	}
	return b.rc.Close()
}
