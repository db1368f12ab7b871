package name

import (
	"strings"
	"testing"
)

func TestParseReference(t *testing.T) {
	const d = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
	for _, tc := range []struct{ raw, want, pull string }{
		{"nats", "docker.io/library/nats:latest", "docker.io/library/nats:latest"},
		{"nats:2.12", "docker.io/library/nats:2.12", "docker.io/library/nats:2.12"},
		{"docker.io/nats:2.12", "docker.io/library/nats:2.12", "docker.io/library/nats:2.12"},
		{"index.docker.io/acme/x:1", "docker.io/acme/x:1", "docker.io/acme/x:1"},
		{"ghcr.io/acme/x", "ghcr.io/acme/x:latest", "ghcr.io/acme/x:latest"},
		{"localhost:5000/x:1", "localhost:5000/x:1", "localhost:5000/x:1"},
		{"ghcr.io/acme/x@" + d, "ghcr.io/acme/x@" + d, "ghcr.io/acme/x@" + d},
		{"ghcr.io/acme/x:1@" + d, "ghcr.io/acme/x:1@" + d, "ghcr.io/acme/x@" + d},
		{"oci://ghcr.io/acme/x:1", "ghcr.io/acme/x:1", "ghcr.io/acme/x:1"},
	} {
		got, err := Parse(tc.raw)
		if err != nil {
			t.Errorf("%s: %v", tc.raw, err)
			continue
		}
		if got.String() != tc.want || got.Pull() != tc.pull {
			t.Errorf("%s: got %s, pulled as %s; want %s, %s", tc.raw, got, got.Pull(), tc.want, tc.pull)
		}
	}
	for _, raw := range []string{"", "UPPER", "a b", "ghcr.io/x:", "https://ghcr.io/x", "ghcr.io/x@sha256:12",
		"ghcr.io/x@sha512:" + d[7:] + d[7:]} {
		if got, err := Parse(raw); err == nil {
			t.Errorf("%q was taken for %s", raw, got)
		}
	}
}

func FuzzParseReference(f *testing.F) {
	for _, s := range []string{"nats", "ghcr.io/a/b:1", "localhost:5000/x@sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "oci://x.y/z:1",
		strings.Repeat("a.", 150) + "io/x:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		r, err := Parse(raw)
		if err != nil {
			return
		}
		again, err := Parse(r.String())
		if err != nil || again != r {
			t.Fatalf("%q reads as %+v, whose name reads as %+v (%v)", raw, r, again, err)
		}
	})
}
