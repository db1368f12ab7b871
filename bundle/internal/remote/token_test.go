package remote

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"bundle/testdata/regtest"
)

// A token server that hangs, or talks nonsense, is given up with its name, soon.
func TestTokenServerGivenUp(t *testing.T) {
	t.Parallel()
	says := func(contentType, body string) regtest.Injector {
		return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Content-Type", contentType)
			_, _ = io.WriteString(w, body)
		}
	}
	hangs := func(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() }
	for _, tc := range []struct {
		name string
		do   regtest.Injector
		most int // requests
	}{
		{"hangs", hangs, 3},
		{"hangs in its answer", regtest.Stall(3), 3},
		{"page", says("text/html", "<html>please sign in</html>"), 1},
		{"no token", says("application/json", "{}"), 1},
		{"not JSON", says("application/json", `{"token":`), 1},
		{"endless", regtest.Endless("application/json"), 1},
		{"token with a newline", says("application/json", `{"token":"a\nb"}`), 1},
		{"refuses", regtest.Status(403), 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			reg, err := regtest.Start(regtest.Options{Token: true})
			if err != nil {
				t.Fatal(err)
			}
			defer reg.Close()
			if _, err := reg.PushImage(t.Context(), "r:1", regtest.Image{}); err != nil {
				t.Fatal(err)
			}
			reg.Inject(regtest.Fault{Class: regtest.Token, Do: tc.do})
			stall := 20 * time.Second
			if tc.most > 1 {
				stall = 500 * time.Millisecond
			}
			c, err := New(Options{PlainHTTP: []string{reg.Host()}, Retry: Retry{MinWait: time.Millisecond, MaxWait: time.Millisecond, Stall: stall}})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_, _, err = c.Resolve(t.Context(), reg.Host()+"/r:1")
			var e *Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), reg.Host()) || strings.Contains(err.Error(), "a\nb") {
				t.Fatalf("got %v", err)
			}
			if n := reg.Log.Count("", regtest.Token); n > tc.most || n == 0 {
				t.Errorf("asked %d times, want 1 to %d: %v", n, tc.most, err)
			}
		})
	}
}
