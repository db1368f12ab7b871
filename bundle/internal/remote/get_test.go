package remote_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"bundle/bundle/internal/remote"
	"bundle/testdata/regtest"
)

// files serves what handlers say and remembers who came with what.
func files(t *testing.T, secure bool, handlers map[string]http.HandlerFunc) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	for path, h := range handlers {
		mux.HandleFunc(path, h)
	}
	s := httptest.NewUnstartedServer(mux)
	s.EnableHTTP2 = true
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

// after fails the first n requests.
func after(n int, fail, then http.HandlerFunc) http.HandlerFunc {
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		n--
		do := then
		if n >= 0 {
			do = fail
		}
		mu.Unlock()
		do(w, r)
	}
}

// Chart repositories are borne with as registries are.
func TestGet(t *testing.T) {
	t.Parallel()
	ok := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "content") }
	status := func(code int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i+1 < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
		}
	}
	var clock *silence
	silent := func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		clock.during(mute)(w, r, nil)
	}
	short := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, "con")
	}
	var target string
	moved := func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target, http.StatusFound) }
	plain := files(t, false, map[string]http.HandlerFunc{"/x": ok})
	s := files(t, true, map[string]http.HandlerFunc{
		"/ok": ok, "/gone": status(404), "/private": status(401), "/forbidden": status(403), "/moved": moved,
		"/busy": after(3, status(503), ok), "/limited": after(1, status(429, "Retry-After", "1"), ok),
		"/later": status(429, "Retry-After", "3600"), "/short": after(2, short, ok), "/silent": after(1, silent, ok),
		"/endless": func(w http.ResponseWriter, r *http.Request) { regtest.Endless("text/plain")(w, r, nil) },
	})
	host := strings.TrimPrefix(s.URL, "https://")
	for _, tt := range []struct {
		path, to string
		kind     remote.Kind // Other: success
		status   int
		message  string
	}{
		{path: "/ok"},
		{path: "/busy"},
		{path: "/limited"},
		{path: "/short"},
		{path: "/silent"},
		{path: "/later", kind: remote.RateLimited, status: 429},
		{path: "/gone", kind: remote.NotFound, status: 404},
		{path: "/private", kind: remote.Auth, status: 401},
		{path: "/forbidden", kind: remote.Denied, status: 403},
		{path: "/endless", kind: remote.Protocol, message: "larger than 1 MiB"},
		{path: "/moved", to: s.URL + "/ok"},
		{path: "/moved", to: plain.URL + "/x", kind: remote.Protocol, message: "refused a redirect from HTTPS"},
		{path: "/moved", to: "file:///etc/passwd", kind: remote.Protocol, message: "refused a redirect from HTTPS"},
		{path: "/moved", to: s.URL + "/moved", kind: remote.Protocol, message: "10 redirects"},
	} {
		t.Run(strings.Trim(tt.path+" "+tt.to, "/"), func(t *testing.T) {
			target = tt.to
			retry := fast
			retry.Stall = quiet
			c := client(t, remote.Options{InsecureSkipTLS: []string{host}, Retry: retry})
			clock = silenced(c)
			b, err := c.Get(t.Context(), remote.Request{URL: s.URL + tt.path + "?token=hunter2", Limit: 1 << 20})
			if tt.kind == remote.Other {
				if err != nil || string(b) != "content" {
					t.Errorf("%q, %v", b, err)
				}
				return
			}
			e := wantError(t, err, tt.kind)
			if e.Status != tt.status || !strings.Contains(e.Error(), tt.message) || !strings.Contains(e.Error(), s.URL+tt.path) || strings.Count(e.Error(), host) != 1 {
				t.Errorf("status %d: %v", e.Status, e)
			}
			if tt.status == 401 && !strings.Contains(e.Hint, "--username") {
				t.Errorf("hint is %q", e.Hint)
			}
		})
	}
}

// Credentials, certificates and leave to go without TLS are those of one
// request, and no other's.
func TestGetKeepsApart(t *testing.T) {
	seen := make(chan string, 10)
	note := func(w http.ResponseWriter, r *http.Request) {
		user, _, _ := r.BasicAuth()
		seen <- user
	}
	plain := files(t, false, map[string]http.HandlerFunc{"/": note})
	secure := files(t, true, map[string]http.HandlerFunc{"/": note})
	c := client(t, remote.Options{})
	get := func(q remote.Request) error {
		q.Limit = 10
		_, err := c.Get(t.Context(), q)
		return err
	}
	if err := get(remote.Request{URL: plain.URL, Named: []string{plain.URL}, Owner: plain.URL + "/charts", Username: "u", Password: "p"}); err != nil || <-seen != "u" {
		t.Errorf("the repository itself: %v", err)
	}
	if err := get(remote.Request{URL: plain.URL, Named: []string{plain.URL}, Owner: secure.URL, Username: "u", Password: "p"}); err != nil || <-seen != "" {
		t.Errorf("another host: %v", err)
	}
	if err := get(remote.Request{URL: plain.URL, Named: []string{plain.URL}, Owner: secure.URL, Username: "u", Password: "p", PassCredentials: true}); err != nil || <-seen != "u" {
		t.Errorf("another host, passed on: %v", err)
	}
	if err := get(remote.Request{URL: secure.URL, Named: []string{secure.URL}, InsecureSkipTLS: true}); err != nil || <-seen != "" {
		t.Errorf("not verified: %v", err)
	}
	wantError(t, get(remote.Request{URL: plain.URL}), remote.Protocol)
	wantError(t, get(remote.Request{URL: plain.URL, Named: []string{"https://" + strings.TrimPrefix(plain.URL, "http://")}}), remote.Protocol)
	wantError(t, get(remote.Request{URL: secure.URL, Named: []string{secure.URL}}), remote.TLS)
	wantError(t, get(remote.Request{URL: secure.URL, Named: []string{secure.URL}, CAFile: "/nonexistent"}), remote.Other)
}
