package remote

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
)

// transport sends single requests. It enforces which hosts may be contacted how,
// ends exchanges that went silent, and turns statuses that ask for another try
// into errors, so that they look alike whoever sent the request: this package,
// the token fetcher, or the referrers code.
type transport struct {
	identity        identity
	plain, insecure map[string]bool // hosts
	named           map[string]bool // hosts that stand in the options
	stall           time.Duration
	clock           clock    // that silence is measured by
	hosts           sync.Map // those that have answered
	flavours        sync.Map // host → flavour
	notices         *notices

	mu      sync.Mutex
	pools   map[poolKey]*http.Transport
	folders map[string]string // of certs.d, by host
}

func newTransport(o Options) (*transport, error) {
	id, err := readIdentity(o)
	if err != nil {
		return nil, &fileError{err}
	}
	named := slices.Concat(o.PlainHTTP, o.InsecureSkipTLS, slices.Collect(maps.Keys(o.Credentials)))
	for _, mirror := range o.Mirrors {
		host, _, _ := strings.Cut(mirror, "/")
		named = append(named, host)
	}
	return &transport{
		identity: id, folders: map[string]string{}, plain: hostSet(o.PlainHTTP), insecure: hostSet(o.InsecureSkipTLS), named: hostSet(named),
		stall: o.Retry.Stall, clock: machineClock, notices: newNotices(o), pools: map[poolKey]*http.Transport{},
	}, nil
}

// answered reports whether a host has answered a request.
func (t *transport) answered(host string) bool {
	_, ok := t.hosts.Load(strings.ToLower(host))
	return ok
}

// processing is how many times the stall limit a registry may work on an upload
// that it has received completely: some copy or hash it before they answer.
const processing = 10

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	return t.send(req, access{})
}

// access is what one request is allowed, or given, beside what holds for all.
type access struct {
	tls   tlsFiles
	named []string // origins that the user named: with http they may be spoken to so
}

// send makes one request.
func (t *transport) send(req *http.Request, may access) (*http.Response, error) {
	host := strings.ToLower(req.URL.Host)
	base, err := t.choose(req, may)
	if err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, err
	}
	ctx, cancel := context.WithCancel(req.Context())
	w := &watch{limit: t.stall, clock: t.clock, req: req, cancel: cancel, vigil: t.notices.vigil(attempt(ctx, host))}
	w.start(t.stall)
	sent := req.WithContext(ctx)
	if req.Body != nil && req.Body != http.NoBody {
		sent.Body = &sentBody{ReadCloser: req.Body, watch: w}
	}
	resp, err := base.RoundTrip(sent)
	w.stop()
	if err != nil {
		cancel()
		return nil, w.explain(err)
	}
	t.hosts.Store(host, true)
	t.note(host, resp)
	resp.Request = req
	resp.Body = &receivedBody{ReadCloser: resp.Body, watch: w, left: resp.ContentLength}
	if retryableStatus(resp.StatusCode) {
		defer resp.Body.Close()
		return nil, newStatusError(resp)
	}
	return resp, nil
}

// A clock is a variable for the tests, whose registries are silent for less long.
type clock struct {
	now       func() time.Time
	afterFunc func(time.Duration, func()) timer
}

type timer interface {
	Reset(time.Duration) bool
	Stop() bool
}

var machineClock = clock{time.Now, func(d time.Duration, f func()) timer { return time.AfterFunc(d, f) }}

// watch cancels an exchange on which nothing moved for a while.
type watch struct {
	limit  time.Duration
	clock  clock
	req    *http.Request // as the caller knows it
	cancel context.CancelFunc

	vigil *vigil

	mu      sync.Mutex
	timer   timer
	stalled atomic.Bool
}

// start gives the other end until limit from now.
func (w *watch) start(limit time.Duration) {
	w.vigil.begin()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Reset(limit)
		return
	}
	w.timer = w.clock.afterFunc(limit, func() {
		w.stalled.Store(true)
		w.cancel()
	})
}

// stop means that it is not the other end that is waited for.
func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
	}
	w.vigil.end()
}

// explain says why an exchange failed: the caller's context, the content to be
// sent, silence, or err.
func (w *watch) explain(err error) error {
	if ctxErr := w.req.Context().Err(); ctxErr != nil {
		return ctxErr
	}
	var source *sourceError
	if errors.As(err, &source) {
		return source
	}
	var record tls.RecordHeaderError
	switch {
	case w.stalled.Load():
		err = errStalled
	case errors.As(err, &record) && string(record.RecordHeader[:]) == "HTTP/":
		err = http.ErrSchemeMismatch // as http.Client says for errors of its own transport
	}
	return &netError{Host: strings.ToLower(w.req.URL.Host), Err: err}
}

// sentBody is a request body under watch. The time that the content itself takes
// to be read does not count.
type sentBody struct {
	io.ReadCloser
	watch *watch
}

func (b *sentBody) Read(p []byte) (int, error) {
	b.watch.stop()
	n, err := b.ReadCloser.Read(p)
	limit := b.watch.limit
	if err != nil {
		limit *= processing
	}
	b.watch.start(limit)
	return n, err
}

// receivedBody is a response body under watch while it is being read.
type receivedBody struct {
	io.ReadCloser
	watch  *watch
	waited time.Duration // for the bytes that moved
	moved  int
	left   int64 // bytes that are still to come; negative: unknown
}

// drip is how many bytes have to come within the stall limit for a connection
// not to count as silent.
const drip = 1 << 10

func (b *receivedBody) Read(p []byte) (int, error) {
	begun := b.watch.clock.now()
	b.watch.start(b.watch.limit - b.waited)
	n, err := b.ReadCloser.Read(p)
	b.watch.stop()
	b.moved += n
	b.left -= int64(n)
	b.waited += b.watch.clock.now().Sub(begun)
	if b.moved >= drip {
		b.moved, b.waited = 0, 0
	}
	if err != nil && err != io.EOF {
		err = b.watch.explain(err)
	}
	return n, err
}

// smallRest is how many bytes are rather read and dropped than a connection is:
// one with something left to read cannot be used again.
const smallRest = 32 << 10

func (b *receivedBody) Close() error {
	if b.left > 0 && b.left <= smallRest {
		_, _ = io.CopyN(io.Discard, b, b.left) // the answer is known, whatever comes
	}
	err := b.ReadCloser.Close()
	b.watch.stop()
	b.watch.cancel()
	return err
}

// maxRedirects is the limit of net/http.
const maxRedirects = 10

// checkRedirect follows downloads anywhere that HTTPS leads, and nothing else
// away from its host. (The Authorization header is dropped by auth.Client.)
func checkRedirect(req *http.Request, via []*http.Request) error {
	first := via[0]
	switch {
	case len(via) >= maxRedirects:
		return refuse("stopped after %d redirects", maxRedirects)
	case first.URL.Scheme == "https" && req.URL.Scheme != "https":
		return refuse("refused a redirect from HTTPS to %s://%s", req.URL.Scheme, req.URL.Host)
	case req.URL.User != nil:
		return refuse("refused a redirect with user information in it to %s", req.URL.Host)
	case first.Method != http.MethodGet && first.Method != http.MethodHead && req.URL.Host != first.URL.Host:
		return refuse("refused to follow %s from %s to %s", first.Method, first.URL.Host, req.URL.Host)
	}
	return nil
}

// newStatusError reads the registry's message from the body of a response, which
// stays open.
func newStatusError(resp *http.Response) *statusError {
	e := &statusError{
		Host: resp.Request.URL.Host, Status: resp.StatusCode, RetryAfter: resp.Header.Get("Retry-After"),
	}
	// What cannot be read of the message is not worth another error.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 8<<10))
	var doc struct {
		Errors []struct{ Code, Message string }
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case json.Unmarshal(body, &doc) == nil && len(doc.Errors) > 0:
		e.Code = printable(doc.Errors[0].Code)
		e.Message = printable(doc.Errors[0].Code + ": " + doc.Errors[0].Message)
	case kind == "text/plain":
		e.Message = printable(string(body))
	}
	return e
}

// printable makes foreign text safe for a terminal and short.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.TrimSpace(s))
	if r := []rune(s); len(r) > 300 {
		s = string(r[:300]) + "…"
	}
	return s
}
