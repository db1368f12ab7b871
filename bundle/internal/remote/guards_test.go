package remote

import (
	"errors"
	"net/http"
	"testing"

	"oras.land/oras-go/v2/registry/remote/auth"
)

// What the library beneath refuses already is refused here once more: no request
// without TLS to a host that is not named for it, and no credentials of one host
// for another, whoever asks.
func TestGuards(t *testing.T) {
	c, err := New(Options{
		Credentials: map[string]Credential{"a.example": {"u", "hunter2"}, "b.example": {"u", "hunter2"}},
		PlainHTTP:   []string{"plain.example:5000"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r, err := c.repository("a.example/r")
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]auth.Credential{"a.example": {Username: "u", Password: "hunter2"}, "b.example": {}, "a.example:443": {}, "": {}} {
		if got, err := r.credential(t.Context(), host); err != nil || got != want {
			t.Errorf("credentials for %q: %+v, %v", host, got, err)
		}
	}
	for _, url := range []string{"http://a.example/v2/", "http://127.0.0.1:1/", "http://localhost:1/", "http://plain.example/"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		var policy *policyError
		if _, err := c.transport.RoundTrip(req); !errors.As(err, &policy) {
			t.Errorf("%s: %v", url, err)
		}
	}
}
