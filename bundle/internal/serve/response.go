package serve

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// patience is how long a client may take for a buffer.
const patience = 2 * time.Minute

// buffers are small: there is one for each client that is being sent something.
var buffers = sync.Pool{New: func() any { b := make([]byte, piece); return &b }}

// piece is how many bytes a client is given at once.
const piece = 64 << 10

// A response remembers what was sent, and gives up a client that takes nothing.
type response struct {
	http.ResponseWriter
	ctl    *http.ResponseController
	start  time.Time
	status int
	sent   int64
	broken bool   // on purpose, before its end
	user   string // who asked, where that is known
}

func (w *response) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	_ = w.ctl.SetWriteDeadline(time.Now().Add(patience)) // a recorder of tests has none
	n, err := w.ResponseWriter.Write(p)
	w.sent += int64(n)
	return n, err
}

// ReadFrom is how http.ServeContent copies.
func (w *response) ReadFrom(r io.Reader) (int64, error) {
	if part, ok := r.(*io.LimitedReader); ok {
		if c, ok := part.R.(*content); ok && c.sums != nil {
			return c.send(w, part.N, piece)
		}
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, *buf)
}

// line is the request in one line. Names in it are quoted: clients choose them.
func (w *response) line(r *http.Request) string {
	end := ""
	if w.broken {
		end = " broken off"
	}
	user := w.user
	if user == "" {
		user = "-"
	}
	return fmt.Sprintf("%s %q %s %q %d %d %s%s", r.RemoteAddr, user, r.Method, r.URL.RequestURI(), w.status, w.sent,
		time.Since(w.start).Round(time.Millisecond), end)
}

// counters are what /metrics tells.
type counters struct {
	open   atomic.Int64
	sent   atomic.Int64
	broken atomic.Int64
	mu     sync.Mutex
	codes  map[int]int64
}

func (c *counters) done(w *response) {
	c.open.Add(-1)
	c.sent.Add(w.sent)
	if w.broken {
		c.broken.Add(1)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.codes == nil {
		c.codes = make(map[int]int64)
	}
	c.codes[w.status]++
}

// metrics writes the text format of Prometheus.
func (s *Server) metrics(w *response) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	one := func(name, kind, help string) { fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind) }
	one("bundle_requests_total", "counter", "Requests that were answered, by status.")
	s.count.mu.Lock()
	codes := maps.Clone(s.count.codes)
	s.count.mu.Unlock()
	for _, code := range slices.Sorted(maps.Keys(codes)) {
		fmt.Fprintf(w, "bundle_requests_total{code=\"%d\"} %d\n", code, codes[code])
	}
	for _, m := range []struct {
		name, kind, help string
		value            int64
	}{
		{"bundle_requests_in_flight", "gauge", "Requests that are being answered.", s.count.open.Load()},
		{"bundle_sent_bytes_total", "counter", "Bytes of content that were sent.", s.count.sent.Load()},
		{"bundle_broken_responses_total", "counter", "Responses that were broken off because their content is damaged.", s.count.broken.Load()},
		{"bundle_damaged_blobs", "gauge", "Blobs that are damaged and not served any more.", int64(s.store.refused())},
	} {
		one(m.name, m.kind, m.help)
		fmt.Fprintf(w, "%s %d\n", m.name, m.value)
	}
}
