package remote

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// Docker Hub has one name in references, another on the wire, and a third in
// configurations.
func TestDockerHub(t *testing.T) {
	c, err := New(Options{Credentials: map[string]Credential{"docker.io": {Username: "u", Password: "p"}}})
	if err != nil {
		t.Fatal(err)
	}
	r, tag, err := c.split("docker.io/library/nginx:1.27")
	if err != nil {
		t.Fatal(err)
	}
	if got := r.url("manifests/" + tag); got != "https://registry-1.docker.io/v2/library/nginx/manifests/1.27" {
		t.Error(got)
	}
	if cred, err := r.credential(t.Context(), "registry-1.docker.io"); err != nil || cred.Username != "u" {
		t.Errorf("credential is %+v, %v", cred, err)
	}
	if cred, err := r.credential(t.Context(), "auth.docker.io"); err != nil || cred.Username != "" {
		t.Errorf("another host gets %+v, %v", cred, err)
	}
}

// A registry has one name, however it is written: for mirrors, logins, and leave to
// go without TLS.
func TestHostNames(t *testing.T) {
	c, err := New(Options{
		Mirrors:     map[string]string{"Index.Docker.io": "mirror.example:5000/hub", "GHCR.io": "mirror.example:5000/gh"},
		PlainHTTP:   []string{"Plain.Example:5000"},
		Credentials: map[string]Credential{"Login.Example": {Username: "u", Password: "p"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"docker.io/library/nginx":               "https://mirror.example:5000/v2/hub/library/nginx/",
		"registry-1.docker.io/library/nginx":    "https://mirror.example:5000/v2/hub/library/nginx/",
		"registry.hub.docker.com/library/redis": "https://mirror.example:5000/v2/hub/library/redis/",
		"Docker.IO/library/nginx":               "https://mirror.example:5000/v2/hub/library/nginx/",
		"ghcr.io/a/b":                           "https://mirror.example:5000/v2/gh/a/b/",
		"Ghcr.IO/a/b":                           "https://mirror.example:5000/v2/gh/a/b/",
		"plain.example:5000/a":                  "http://plain.example:5000/v2/a/",
		"PLAIN.example:5000/a":                  "http://plain.example:5000/v2/a/",
		"quay.io/a/b":                           "https://quay.io/v2/a/b/",
	} {
		r, err := c.repository(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := r.url(""); got != want {
			t.Errorf("%s is at %s, want %s", name, got, want)
		}
	}
	r, err := c.repository("login.EXAMPLE/a")
	if err != nil {
		t.Fatal(err)
	}
	if cred, err := r.credential(t.Context(), r.host); err != nil || cred.Username != "u" {
		t.Errorf("credential is %+v, %v", cred, err)
	}
}

func TestBackoff(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	policy := Retry{MinWait: time.Second, MaxWait: 10 * time.Second, MaxRetryAfter: time.Minute}
	tests := []struct {
		failures int
		after    string
		min, max time.Duration
		ok       bool
	}{
		{1, "", time.Second / 2, time.Second, true},
		{2, "", time.Second, 2 * time.Second, true},
		{4, "", 4 * time.Second, 8 * time.Second, true},
		{5, "", 5 * time.Second, 10 * time.Second, true},
		{1000, "", 5 * time.Second, 10 * time.Second, true},
		{1, "30", 30 * time.Second, 30 * time.Second, true},
		{1, now.Add(20 * time.Second).Format(http.TimeFormat), 20 * time.Second, 20 * time.Second, true},
		{1, now.Add(-time.Hour).Format(http.TimeFormat), time.Second / 2, time.Second, true},
		{1, "soon", time.Second / 2, time.Second, true},
		{1, "-1", time.Second / 2, time.Second, true},
		{1, "61", 61 * time.Second, 61 * time.Second, false},
	}
	for _, tt := range tests {
		b := backoff{policy: policy, failures: tt.failures}
		got, ok := b.wait(&statusError{Status: 429, RetryAfter: tt.after}, now)
		if ok != tt.ok || got < tt.min || got > tt.max {
			t.Errorf("failure %d, Retry-After %q: %v, %v; want %v to %v, %v", tt.failures, tt.after, got, ok, tt.min, tt.max, tt.ok)
		}
	}
}

// Clients that failed together do not come back together.
func TestBackoffJitter(t *testing.T) {
	b := backoff{policy: Retry{MinWait: time.Second, MaxWait: time.Minute}, failures: 3}
	waits := make(map[time.Duration]bool)
	for range 20 {
		d, _ := b.wait(errStalled, time.Now())
		waits[d] = true
	}
	if len(waits) < 10 {
		t.Errorf("20 pauses are %v", waits)
	}
}

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		`GET "https://h.example/v2/?a=b&c=d": x`:   `GET "https://h.example/v2/": x`,
		"https://u:p@h.example/p?q":                "https://h.example/p",
		"http://h.example:5000/a b?c https://x/?y": "http://h.example:5000/a b?c https://x/",
		"nothing to hide?":                         "nothing to hide?",
	} {
		if got := redact(in); got != want {
			t.Errorf("redact(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("GET https://u:p@h/p?q=secret")
	f.Add(`"https://?"`)
	f.Add("http://@@")
	f.Fuzz(func(t *testing.T, s string) {
		got := redact(s)
		if again := redact(got); again != got {
			t.Errorf("%q becomes %q, then %q", s, got, again)
		}
	})
}

func FuzzManifestType(f *testing.F) {
	for _, body := range []string{
		`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`,
		`{"layers":[]}`, `<html>`, ``, `{"mediaType":1}`, `[]`,
	} {
		f.Add(manifestTypes[0], []byte(body))
		f.Add("application/json; charset=utf-8", []byte(body))
	}
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		got, err := manifestType(contentType, body)
		var policy *policyError
		if err != nil && !errors.As(err, &policy) {
			t.Errorf("error %v would be tried again", err)
		}
		if err == nil && !slices.Contains(manifestTypes, got) {
			t.Errorf("media type %q", got)
		}
	})
}

func FuzzHeaders(f *testing.F) {
	for _, s := range []string{"bytes 0-9/10", "bytes 5-9/*", "0-9", "bytes=0-9", "0-0", "bytes -1--5/3", "120", "Wed, 21 Oct 2026 07:28:00 GMT"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if first, last, ok := parseContentRange(s); ok && (first < 0 || last < first) {
			t.Errorf("Content-Range %q is %d-%d", s, first, last)
		}
		if n, ok := uploadOffset(s); ok && n < 2 {
			t.Errorf("Range %q is %d", s, n)
		}
		if d, ok := retryAfter(s, time.Now()); ok && d < 0 {
			t.Errorf("Retry-After %q is %v", s, d)
		}
		if p := printable(s); strings.ContainsAny(p, "\x1b\n\r\x00") || len([]rune(p)) > 301 {
			t.Errorf("printable(%q) = %q", s, p)
		}
	})
}
