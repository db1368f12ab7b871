package rewrite

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bundle/bundle/internal/fault"
)

const hex64 = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

var testMap = Map{
	"ghcr.io/a/b:1":                       "r:5/p/a/b:1",
	"ghcr.io/a/b":                         "r:5/p/a/b",
	"ghcr.io/a/b:1.10":                    "r:5/p/a/b:1.10",
	"nats:2.9":                            "r:5/p/nats:2.9",
	"nginx":                               "r:5/p/nginx",
	"ghcr.io/a/c@sha256:" + hex64:         "r:5/p/a/c@sha256:" + strings.Repeat("0", 64),
	"localhost:5000/x/y:1":                "r:5/p/x/y:1",
	"docker.io/library/d:1":               "r:5/p/library/d:1",
	"quay.io/acme/late:7":                 "r:5/p/acme/late:7",
	"quay.io/acme/chosen:1":               "r:5/web/front:2",
	"quay.io/acme/num:1":                  "r:5/p/acme/num:2.0",
	"hub.example/ns/pilot:1.2":            "r:5/p/ns/pilot:1.2",
	"hub.example/ns/proxy:1.2":            "r:5/p/ns/proxy:1.2",
	"quay.io/acme/both:1@sha256:" + hex64: "r:5/p/acme/both:1@sha256:" + hex64,
}

// What is replaced, and what is not, in one document each.
func TestRewrite(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"plain", "image: ghcr.io/a/b:1", "image: r:5/p/a/b:1"},
		{"quoted", `image: "ghcr.io/a/b:1" # why`, `image: "r:5/p/a/b:1" # why`},
		{"single quotes", `image: 'ghcr.io/a/b:1'`, `image: 'r:5/p/a/b:1'`},
		{"brackets", `{a: [{image: ghcr.io/a/b:1}, x]}`, `{a: [{image: r:5/p/a/b:1}, x]}`},
		{"argument", "args:\n- --reloader=ghcr.io/a/b:1", "args:\n- --reloader=r:5/p/a/b:1"},
		{"the next argument", "args: [--x-image, nginx, nginx]", "args: [--x-image, r:5/p/nginx, nginx]"},
		{"list in one word", "X: ghcr.io/a/b:1,nats:2.9", "X: r:5/p/a/b:1,r:5/p/nats:2.9"},
		{"scheme", "url: oci://ghcr.io/a/b:1", "url: oci://r:5/p/a/b:1"},
		{"digest", "image: ghcr.io/a/c@sha256:" + hex64, "image: r:5/p/a/c@sha256:" + strings.Repeat("0", 64)},
		{"port", "image: localhost:5000/x/y:1", "image: r:5/p/x/y:1"},
		{"twice on a line", "x: nats:2.9 nats:2.9", "x: r:5/p/nats:2.9 r:5/p/nats:2.9"},
		{"end of a sentence", "x: pulls nats:2.9.", "x: pulls r:5/p/nats:2.9."},
		{"over lines", "x: a\n  nats:2.9\n  b", "x: a\n  r:5/p/nats:2.9\n  b"},
		{"folded", "x: >-\n  a\n  nats:2.9  b\n\n  c", "x: >-\n  a\n  r:5/p/nats:2.9  b\n\n  c"},
		{"line ends of Windows", "a: |\r\n  nats:2.9\r\n  x\r\nimage: nginx\r\n", "a: |\r\n  r:5/p/nats:2.9\r\n  x\r\nimage: r:5/p/nginx\r\n"},
		{"tag and anchor", "a: !!str &x ghcr.io/a/b:1\nb: *x", "a: !!str &x r:5/p/a/b:1\nb: *x"},
		{"characters of other sizes", "ключ: \"ж\u2028\\u00e9 nats:2.9\"\nb: ж nats:2.9", "ключ: \"ж\u2028\\u00e9 r:5/p/nats:2.9\"\nb: ж r:5/p/nats:2.9"},
		{"escapes", `x: "\x6eats:2.9 \t g\u0068cr.io/a/b:1"`, `x: "r:5/p/nats:2.9 \t r:5/p/a/b:1"`},
		{"no YAML", "{{ x }}: [\nimage: nats:2.9\n", "{{ x }}: [\nimage: r:5/p/nats:2.9\n"},

		{"another tag", "image: ghcr.io/a/b:12", ""},
		{"a longer tag", "image: nats:2.9.1", ""},
		{"below another host", "image: m.io/ghcr.io/a/b:1", ""},
		{"a longer path", "image: ghcr.io/a/b/c:1", ""},
		{"a URL", "x: https://ghcr.io/a/b:1", ""},
		{"a pattern", "x: ghcr.io/a/b*", ""},
		{"a comment", "x: y # image: nats:2.9", ""},
		{"a key", "nats:2.9: x", ""},
		{"a word that is an image elsewhere", "name: nginx", ""},
		{"the same word as an image", "image: nginx\nname: nginx", "image: r:5/p/nginx\nname: nginx"},
		{"an alias that is no image", "name: &n nginx\nimage: *n", "name: &n nginx\nimage: r:5/p/nginx"},
		{"an anchor that is one", "image: &n nginx\nname: *n", "image: &n r:5/p/nginx\nname: nginx"},

		{"JSON in a string", `x: '{"image":"nats:2.9"}'`, `x: '{"image":"r:5/p/nats:2.9"}'`},
		{"JSON with escapes", `x: '{"image":"ghcr.io\/a\/b:1","b":"it''s\u00e9 \ud83d\ude00 nats:2.9"}'`, `x: '{"image":"r:5/p/a/b:1","b":"it''s\u00e9 \ud83d\ude00 r:5/p/nats:2.9"}'`},
		{"JSON with escapes in quotes", `x: "{\"image\":\"ghcr.io\\/a\\/b:1\"}"`, `x: "{\"image\":\"r:5/p/a/b:1\"}"`},
		{"JSON, the whole", `{"kind":"X","image":"ghcr.io\/a\/b:1"}`, `{"kind":"X","image":"r:5/p/a/b:1"}`},
		{"JSON with parts", `x: '{"repository":"ghcr.io/a/b","tag":"1"}'`, `x: '{"repository":"r:5/p/a/b","tag":"1"}'`},
		{"YAML in a string", "v: |-\n    # nginx\n    image:\n      repository: ghcr.io/a/b\n      tag: '1'\n\n    name: nginx\n", "v: |-\n    # nginx\n    image:\n      repository: r:5/p/a/b\n      tag: '1'\n\n    name: nginx\n"},
		{"YAML in quotes", `v: "image:\n  repository: ghcr.io/a/b\n  tag: \"1\"\n"`, `v: "image:\n  repository: r:5/p/a/b\n  tag: \"1\"\n"`},
		{"YAML in YAML", "v: |\n  w: |\n    image: nginx\n    y: z\n", "v: |\n  w: |\n    image: r:5/p/nginx\n    y: z\n"},
		{"a properties file", "v: |\n  x=1\n  job.image.repository=ghcr.io/a/b\n  job.image.tag=1\n", "v: |\n  x=1\n  job.image.repository=r:5/p/a/b\n  job.image.tag=1\n"},
		{"a script", "v: |\n  #!/bin/sh\n  run --image nginx nginx\n", "v: |\n  #!/bin/sh\n  run --image r:5/p/nginx nginx\n"},

		{"repository and tag", "repository: ghcr.io/a/b\ntag: 1", "repository: r:5/p/a/b\ntag: 1"},
		{"registry, repository and tag", "image: {registry: quay.io, repository: acme/late, tag: \"7\"}", "image: {registry: r:5/p, repository: acme/late, tag: \"7\"}"},
		{"registry with a slash", "image: {registry: quay.io/, repository: acme/late, tag: \"7\"}", "image: {registry: r:5/p/, repository: acme/late, tag: \"7\"}"},
		{"prefixes", "fooImageRegistry: quay.io\nfooImageRepository: acme/late\nfooImageTag: '7'", "fooImageRegistry: r:5/p\nfooImageRepository: acme/late\nfooImageTag: '7'"},
		{"name and version", "image: {registry: quay.io, name: acme/late, version: 7}", "image: {registry: r:5/p, name: acme/late, version: 7}"},
		{"image and tag", "image: ghcr.io/a/b\nimageTag: \"1.10\"", "image: r:5/p/a/b\nimageTag: \"1.10\""},
		{"repository and image", "repository: quay.io/acme\nimage: late\ntag: '7'", "repository: r:5/p/acme\nimage: late\ntag: '7'"},
		{"a path that changes", "image:\n  registry: quay.io # here\n  repository: acme/chosen\n  tag: '1'", "image:\n  registry: r:5 # here\n  repository: web/front\n  tag: '2'"},
		{"a tag that would be a number", "image: {repository: quay.io/acme/num, tag: v}\nx: {repository: quay.io/acme/num, tag: 1}", "image: {repository: quay.io/acme/num, tag: v}\nx: {repository: r:5/p/acme/num, tag: \"2.0\"}"},
		{"a digest", "image: {repository: ghcr.io/a/c, digest: \"sha256:" + hex64 + "\"}", "image: {repository: r:5/p/a/c, digest: \"sha256:" + strings.Repeat("0", 64) + "\"}"},
		{"a digest without its kind", "image: {repository: ghcr.io/a/c, sha256: " + hex64 + "}", "image: {repository: r:5/p/a/c, sha256: \"" + strings.Repeat("0", 64) + "\"}"},
		{"tag and digest", "image: {registry: quay.io, repository: acme/both, tag: '1', digest: 'sha256:" + hex64 + "'}", "image: {registry: r:5/p, repository: acme/both, tag: '1', digest: 'sha256:" + hex64 + "'}"},
		{"env", "env:\n- {name: JOB_IMAGE_REPOSITORY, value: ghcr.io/a/b}\n- {name: JOB_IMAGE_TAG, value: \"1\"}\n- name: X_IMAGE\n  value: nginx", "env:\n- {name: JOB_IMAGE_REPOSITORY, value: r:5/p/a/b}\n- {name: JOB_IMAGE_TAG, value: \"1\"}\n- name: X_IMAGE\n  value: r:5/p/nginx"},
		{"a merge", "base: &b {registry: quay.io, tag: \"7\"}\nx: {image: {<<: *b, repository: acme/late}}", "base: &b {registry: r:5/p, tag: \"7\"}\nx: {image: {<<: *b, repository: acme/late}}"},
		{"an alias for a part", "r: &r quay.io\nimage: {registry: *r, repository: acme/late, tag: '7'}", "r: &r quay.io\nimage: {registry: r:5/p, repository: acme/late, tag: '7'}"},
		{"a hub", "hub: hub.example/ns\ntag: '1.2'\na: {image: pilot}\nb: [{image: proxy}]", "hub: r:5/p/ns\ntag: '1.2'\na: {image: pilot}\nb: [{image: proxy}]"},
		{"name and version of no image", "name: nats\nversion: 2.9", ""},
		{"parts of another image", "repository: ghcr.io/a/x\ntag: 1", ""},
		{"an image beside its parts", "image: ghcr.io/a/b:1\nrepository: x\ntag: y", "image: r:5/p/a/b:1\nrepository: x\ntag: y"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.want == "" {
				tc.want = tc.in
			}
			got, unused := testMap.Rewrite([]byte(tc.in))
			if string(got) != tc.want {
				t.Errorf("%s\nbecame\n%s\nwant\n%s", tc.in, got, tc.want)
			}
			if all := len(unused) == len(testMap); all != (tc.in == tc.want) {
				t.Errorf("unused %q", unused)
			}
		})
	}
}

// A Secret is read through its base64, in lists as well.
func TestRewriteSecret(t *testing.T) {
	code := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	in := "kind: List\nitems:\n- kind: Secret\n  data: # d\n    a: " + code("image:\n  repository: ghcr.io/a/b\n  tag: '1'\n") +
		"\n    b: \"" + code("nats:2.9 is it") + "\"\n    c: " + code("\x00nats:2.9\xff") + "\n"
	want := "kind: List\nitems:\n- kind: Secret\n  data: # d\n    a: " + code("image:\n  repository: r:5/p/a/b\n  tag: '1'\n") +
		"\n    b: \"" + code("r:5/p/nats:2.9 is it") + "\"\n    c: " + code("\x00nats:2.9\xff") + "\n"
	got, unused := testMap.Rewrite([]byte(in))
	if string(got) != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if slices.Contains(unused, "ghcr.io/a/b:1") || slices.Contains(unused, "nats:2.9") || !slices.Contains(unused, "nginx") {
		t.Errorf("unused %q", unused)
	}
}

// One document that cannot be read does not keep the others from being edited.
func TestRewriteStream(t *testing.T) {
	in := "# head\n---\n# Source: a\nimage: nginx\n--- # b\na: [\n---\nimage: nginx\n...\n---\n"
	want := "# head\n---\n# Source: a\nimage: r:5/p/nginx\n--- # b\na: [\n---\nimage: r:5/p/nginx\n...\n---\n"
	if got, _ := testMap.Rewrite([]byte(in)); string(got) != want {
		t.Errorf("%q\nwant\n%q", got, want)
	}
}

func TestParse(t *testing.T) {
	m, err := Parse([]byte("# head\n\na:1 r/a:1 # why\nb:1 r/b:1\n"), "x.map")
	if err != nil {
		t.Fatal(err)
	}
	if got := string(m.Format()); got != "a:1 r/a:1\nb:1 r/b:1\n" {
		t.Errorf("%q", got)
	}
	for text, line := range map[string]int{"a:1\n": 1, "a:1 b:1 c:1": 1, "a:1 r/a:1\na:1 r/b:1\n": 2, "a b\"c": 1} {
		var c *fault.ConfigError
		if _, err := Parse([]byte(text), "x.map"); !errors.As(err, &c) || c.Line != line || c.File != "x.map" {
			t.Errorf("%q: error %v, want one of line %d", text, err, line)
		}
	}
}

// seeds are texts of every kind that manifests are made of.
func seeds(t testing.TB) (all []string) {
	files, err := filepath.Glob("../../../testdata/charts/*/templates/*.yaml")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d templates: %v", len(files), err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(b))
	}
	return append(all, "image: nginx\n", `{"image":"nginx","x":"oci:\/\/nginx"}`, "a: &a [x]\nb: *a\n<<: {c: d}", "v: |2\n   x: y\n", "\ufeffa: b\r\nc: >\r\n  d\r\n",
		"kind: Secret\ndata: {a: bmF0czoyLjk=}", "a: 'b\n\n  c'\nd: \"e\\\n  f\"", "? a\n: b\n", "a: !!binary bmF0cw==", "- - - x\n", "%YAML 1.1\n---\na: b\n...\n")
}

// A map that changes nothing changes no byte, whatever the text.
func FuzzIdentity(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add("ghcr.io/acme/web:1", s)
		f.Add("nginx", s)
	}
	f.Fuzz(func(t *testing.T, old, text string) {
		for _, m := range []Map{{}, nil, {old: old}} {
			if got, _ := m.Rewrite([]byte(text)); string(got) != text {
				t.Errorf("%v: %q became %q", m, text, got)
			}
		}
	})
}

// Rewriting there and back again changes what the map names, and nothing else.
func FuzzThereAndBack(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add(s)
	}
	for i := range 8 {
		f.Add(fmt.Sprintf("image:\n%s  repository: src.example/a/b\n  tag: \"1\"\nx: src.example/a/b:1", strings.Repeat("#\n", i)))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "dst.example") {
			return
		}
		there := Map{"src.example/a/b:1": "dst.example/a/b:1"}
		back := Map{"dst.example/a/b:1": "src.example/a/b:1"}
		once, unused := there.Rewrite([]byte(text))
		if len(unused) == 1 {
			if string(once) != text {
				t.Errorf("nothing was replaced in %q, and it became %q", text, once)
			}
			return
		}
		undone, _ := back.Rewrite(once)
		if again, _ := there.Rewrite(undone); !bytes.Equal(again, once) {
			t.Errorf("%q\nbecame %q\nthen %q\nand again %q", text, once, undone, again)
		}
		if a, b := strings.Count(text, "\n"), bytes.Count(once, []byte("\n")); a != b {
			t.Errorf("%q has %d lines, and %q %d", text, a, once, b)
		}
	})
}

// FuzzParse: a map that is read is written in a form that reads the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"# head\n\na:1 r/a:1 # why\nb:1 r/b:1\n", "a b c", "a b\na c\n", "a\u00a0b\r\n", "a b\x1b\n", strings.Repeat("a", 70_000)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b, "x")
		if err != nil {
			return
		}
		once := m.Format()
		again, err := Parse(once, "x")
		if err != nil || !bytes.Equal(again.Format(), once) {
			t.Fatalf("%q is written as %q (%v)", b, once, err)
		}
	})
}
