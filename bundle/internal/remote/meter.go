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
}

// open retires the reader before and returns one from offset on, left bytes long.
func (m *meter) open(src BlobSource, offset, left int64) (io.ReadCloser, error) {
	m.retire()
	rc, err := src.Open()
	if err != nil {
		return nil, m.fail(err)
	}
	if _, err := io.CopyN(io.Discard, rc, offset); err != nil {
		_ = rc.Close() // nothing was written
		return nil, m.fail(fmt.Errorf("skip %d bytes: %w", offset, err))
	}
	b := &meteredBody{meter: m, rc: rc, left: left}
	m.mu.Lock()
	m.current, m.progress = b, src.Progress
	m.mu.Unlock()
	m.set(offset)
	return b, nil
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

// meteredBody is the rest of a blob. It demands that the source holds exactly the
// bytes that were announced.
type meteredBody struct {
	meter *meter

	mu     sync.Mutex // serializes the source's methods
	rc     io.ReadCloser
	left   int64
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
	n, err := b.rc.Read(p)
	for err == nil && int64(n) == b.left {
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
	case err == io.EOF && int64(n) < b.left:
		return 0, b.meter.fail(fmt.Errorf("content ends %d bytes early: %w", b.left-int64(n), io.ErrUnexpectedEOF))
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
	return b.rc.Close()
}
