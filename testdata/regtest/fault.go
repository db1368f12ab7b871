package regtest

import (
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Fault makes some requests go wrong. Empty fields match everything.
type Fault struct {
	Method string // "GET"
	Class  Class
	Path   string // substring of the path
	Match  func(*http.Request) bool

	Skip  int // let that many matching requests pass first
	Times int // then strike that often; 0: always
	Do    Injector
}

// Injector handles a request in place of, or around, the registry (next).
type Injector func(w http.ResponseWriter, r *http.Request, next http.Handler)

type faults struct {
	closing context.Context // done when the registry closes
	mu      sync.Mutex
	active  []*Fault
}

func (f *faults) add(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.active = append(f.active, &fault)
}

func (f *faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.active = nil
}

// take returns what to do with r, or nil, and counts down the fault it chose.
func (f *faults) take(r *http.Request) Injector {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, fault := range f.active {
		if !fault.matches(r) {
			continue
		}
		if fault.Skip > 0 {
			fault.Skip--
			continue
		}
		if fault.Times == 1 {
			f.active = slices.Delete(f.active, i, i+1)
		} else if fault.Times > 1 {
			fault.Times--
		}
		return fault.Do
	}
	return nil
}

func (f *Fault) matches(r *http.Request) bool {
	return r.Header.Get(ownHeader) == "" &&
		(f.Method == "" || f.Method == r.Method) &&
		(f.Class == "" || f.Class == classOf(r.URL.Path)) &&
		strings.Contains(r.URL.Path, f.Path) &&
		(f.Match == nil || f.Match(r))
}

func (f *faults) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		do := f.take(r)
		if do == nil {
			next.ServeHTTP(w, r)
			return
		}
		// A server does not notice that a client went away before it has read
		// the whole request, so a stalled upload must also end with the registry.
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(f.closing, cancel)()
		do(w, r.WithContext(ctx), next)
	})
}

// Status answers with a status code and headers, given in pairs.
func Status(code int, header ...string) Injector {
	return Answer(code, "application/json", `{"errors":[{"code":"UNKNOWN","message":"injected"}]}`, header...)
}

// Answer answers with a status code, a body, and further headers given in pairs.
func Answer(code int, contentType, body string, header ...string) Injector {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", contentType)
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// Reset resets the connection after n bytes of the response body.
func Reset(n int64) Injector { return around(n, func(w *faultWriter) { cut(w.ResponseWriter) }) }

// Truncate ends the response after n bytes of its body as if it were whole: with
// a Content-Length of n and no error that a client could notice.
func Truncate(n int64) Injector {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		fw := &faultWriter{ResponseWriter: w, left: n}
		fw.header = func(h http.Header) { h.Set("Content-Length", strconv.FormatInt(n, 10)) }
		fw.then = func(*faultWriter) {}
		next.ServeHTTP(fw, r)
	}
}

// Stall sends n bytes of the response body and then nothing until the client
// gives up.
func Stall(n int64) Injector {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		fw := &faultWriter{ResponseWriter: w, left: n}
		fw.then = func(*faultWriter) {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}
		next.ServeHTTP(fw, r)
	}
}

// Corrupt flips one bit of the response body's byte at offset n.
func Corrupt(n int64) Injector {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(&corruptWriter{ResponseWriter: w, at: n}, r)
	}
}

// Header sets one header of the registry's answer.
func Header(key, value string) Injector {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		fw := &faultWriter{ResponseWriter: w, left: -1}
		fw.header = func(h http.Header) { h.Set(key, value) }
		next.ServeHTTP(fw, r)
	}
}

// Endless answers 200 with a body of spaces that never ends.
func Endless(contentType string) Injector {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", contentType)
		block := []byte(strings.Repeat(" ", 1<<16))
		for r.Context().Err() == nil {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}
}

// WithoutHeader hides one header of the request from the registry: without
// Authorization, it challenges; without Range, it sends everything.
func WithoutHeader(key string) Injector {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		r = r.Clone(r.Context())
		r.Header.Del(key)
		next.ServeHTTP(w, r)
	}
}

// ExpireToken holds a request until the bearer token that came with it has
// expired, and lets the registry see it then.
func ExpireToken() Injector {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if end, ok := expiresAt(r); ok {
			select {
			case <-time.After(time.Until(end) + time.Millisecond):
			case <-r.Context().Done():
			}
		}
		next.ServeHTTP(w, r)
	}
}

// ResetUpload ends the request body for the registry after n bytes with an error,
// waits until the registry has dealt with that, and resets the connection.
func ResetUpload(n int64) Injector {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		r = r.Clone(r.Context())
		r.Body = &cutBody{ReadCloser: r.Body, left: n}
		defer cut(w)
		next.ServeHTTP(unheard{http.Header{}}, r)
	}
}

// LoseAnswer lets the registry do its work, and resets the connection instead of
// answering.
func LoseAnswer() Injector {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		defer cut(w)
		next.ServeHTTP(unheard{http.Header{}}, r)
	}
}

// unheard takes a response that nobody gets.
type unheard struct{ header http.Header }

func (u unheard) Header() http.Header       { return u.header }
func (unheard) Write(b []byte) (int, error) { return len(b), nil }
func (unheard) WriteHeader(int)             {}

// StallUpload reads n bytes of the request body and then nothing until the
// client gives up.
func StallUpload(n int64) Injector {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		_, _ = io.CopyN(io.Discard, r.Body, n)
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
}

// Refuse resets the connection without reading the request or answering it.
func Refuse() Injector {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { cut(w) }
}

// cut resets the TCP connection (or the HTTP/2 stream) under a response. It does
// not return where the handler has to be aborted.
func cut(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	raw := conn
	if tc, ok := conn.(interface{ NetConn() net.Conn }); ok {
		raw = tc.NetConn()
	}
	if tcp, ok := raw.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = raw.Close()
}

func around(n int64, then func(*faultWriter)) Injector {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(&faultWriter{ResponseWriter: w, left: n, then: then}, r)
	}
}

// faultWriter passes left bytes of the body on, then calls then once and drops
// the rest. A negative left passes everything.
type faultWriter struct {
	http.ResponseWriter
	left   int64
	header func(http.Header)
	then   func(*faultWriter)
	done   bool
	wrote  bool
}

func (w *faultWriter) WriteHeader(status int) {
	if w.done {
		return
	}
	if !w.wrote && w.header != nil {
		w.header(w.Header())
	}
	w.wrote = true
	w.ResponseWriter.WriteHeader(status)
	if w.left == 0 {
		w.strike()
	}
}

func (w *faultWriter) Write(b []byte) (int, error) {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	if w.left < 0 {
		return w.ResponseWriter.Write(b)
	}
	if w.done {
		return len(b), nil
	}
	n := min(int64(len(b)), w.left)
	if _, err := w.ResponseWriter.Write(b[:n]); err != nil {
		return 0, err
	}
	w.left -= n
	if w.left == 0 {
		w.strike()
	}
	return len(b), nil
}

func (w *faultWriter) strike() {
	_ = http.NewResponseController(w.ResponseWriter).Flush()
	w.done = true
	w.then(w)
}

// corruptWriter flips a bit of the byte at offset at.
type corruptWriter struct {
	http.ResponseWriter
	at int64
}

func (w *corruptWriter) Write(b []byte) (int, error) {
	if w.at >= 0 && w.at < int64(len(b)) {
		b = slices.Clone(b)
		b[w.at] ^= 1
	}
	w.at -= int64(len(b))
	return w.ResponseWriter.Write(b)
}

// cutBody fails after left bytes.
type cutBody struct {
	io.ReadCloser
	left int64
}

func (b *cutBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
