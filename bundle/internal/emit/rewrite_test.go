package emit

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"bundle/bundle/internal/fault"
)

func TestRewrite(t *testing.T) {
	const digest = "@sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
	m := RewriteMap{
		"ghcr.io/a/b:1":         "r/a/b:1",
		"ghcr.io/a/b":           "r/a/b",
		"nats:2.9":              "r/nats:2.9",
		"nginx":                 "r/nginx",
		"ghcr.io/a/c" + digest:  "r/a/c" + digest,
		"localhost:5000/x/y:1":  "r/x/y:1",
		"docker.io/library/d:1": "r/library/d:1",
	}
	for _, tc := range []struct{ name, in, want string }{
		{"plain", "image: ghcr.io/a/b:1", "image: r/a/b:1"},
		{"quoted", `image: "ghcr.io/a/b:1"`, `image: "r/a/b:1"`},
		{"argument", "- --reloader=ghcr.io/a/b:1", "- --reloader=r/a/b:1"},
		{"list in one word", "X: ghcr.io/a/b:1,nats:2.9", "X: r/a/b:1,r/nats:2.9"},
		{"JSON in a string", `'{"image":"nats:2.9"}'`, `'{"image":"r/nats:2.9"}'`},
		{"scheme", "url: oci://ghcr.io/a/b:1", "url: oci://r/a/b:1"},
		{"digest", "image: ghcr.io/a/c" + digest, "image: r/a/c" + digest},
		{"port", "image: localhost:5000/x/y:1", "image: r/x/y:1"},
		{"twice on a line", "nats:2.9 nats:2.9", "r/nats:2.9 r/nats:2.9"},
		{"end of a sentence", "pulls nats:2.9.", "pulls r/nats:2.9."},

		{"another tag", "image: ghcr.io/a/b:12", "image: ghcr.io/a/b:12"},
		{"a longer tag", "image: nats:2.9.1", "image: nats:2.9.1"},
		{"below another host", "image: m.io/ghcr.io/a/b:1", "image: m.io/ghcr.io/a/b:1"},
		{"a longer path", "image: ghcr.io/a/b/c:1", "image: ghcr.io/a/b/c:1"},
		{"a URL", "https://ghcr.io/a/b:1", "https://ghcr.io/a/b:1"},
		{"a word that is an image elsewhere", "name: nginx", "name: nginx"},
		{"the same word as an image", "image: nginx\nname: nginx", "image: r/nginx\nname: nginx"},
		{"the same word, quoted", `"image": "nginx"`, `"image": "r/nginx"`},
	} {
		if got := string(m.Rewrite([]byte(tc.in))); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestRewriteMap(t *testing.T) {
	m, err := ParseRewriteMap([]byte("# head\n\na:1 r/a:1 # why\nb:1 r/b:1\n"), "x.map")
	if err != nil {
		t.Fatal(err)
	}
	if got := string(m.Format()); got != "a:1 r/a:1\nb:1 r/b:1\n" {
		t.Errorf("%q", got)
	}
	for text, line := range map[string]int{"a:1\n": 1, "a:1 b:1 c:1": 1, "a:1 r/a:1\na:1 r/b:1\n": 2} {
		var c *fault.ConfigError
		if _, err := ParseRewriteMap([]byte(text), "x.map"); !errors.As(err, &c) || c.Line != line || c.File != "x.map" {
			t.Errorf("%q: error %v, want one of line %d", text, err, line)
		}
	}
}

func FuzzRewrite(f *testing.F) {
	f.Add("ghcr.io/a/b:1", "image: ghcr.io/a/b:1\n")
	f.Add("nginx", `{"image":"nginx","x":"oci://nginx"}`)
	f.Fuzz(func(t *testing.T, old, text string) {
		// A map onto itself changes nothing, whatever the text.
		if got := (RewriteMap{old: old}).Rewrite([]byte(text)); string(got) != text {
			t.Errorf("%q became %q", text, got)
		}
	})
}

// FuzzRewriteMap: a map that is read is written in a form that reads the same.
func FuzzRewriteMap(f *testing.F) {
	for _, s := range []string{"# head\n\na:1 r/a:1 # why\nb:1 r/b:1\n", "a b c", "a b\na c\n", "a\u00a0b\r\n", "a b\x1b\n", strings.Repeat("a", 70_000)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseRewriteMap(b, "x")
		if err != nil {
			return
		}
		once := m.Format()
		again, err := ParseRewriteMap(once, "x")
		if err != nil || !bytes.Equal(again.Format(), once) {
			t.Fatalf("%q is written as %q (%v)", b, once, err)
		}
	})
}
