package place

import (
	"errors"
	"strings"
	"testing"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/record"
)

func TestNaming(t *testing.T) {
	d := "@" + digest.FromString("x").String()
	for _, tc := range []struct{ raw, full, host, flat string }{
		{"nats:1", "nats:1", "docker.io/nats:1", "docker.io--library--nats:1"},
		{"docker.io/library/nats:1", "library/nats:1", "docker.io/library/nats:1", "docker.io--library--nats:1"},
		{"ghcr.io/acme/plugins/kv:1", "acme/plugins/kv:1", "ghcr.io/acme/plugins/kv:1", "ghcr.io--acme--plugins--kv:1"},
		{"ghcr.io/acme/app", "acme/app", "ghcr.io/acme/app", "ghcr.io--acme--app"},
		{"ghcr.io/acme/app:1" + d, "acme/app:1" + d, "ghcr.io/acme/app:1" + d, "ghcr.io--acme--app:1" + d},
		{"ghcr.io/acme/app" + d, "acme/app" + d, "ghcr.io/acme/app" + d, "ghcr.io--acme--app" + d},
		{"localhost:5000/a/b:1", "a/b:1", "localhost-5000/a/b:1", "localhost-5000--a--b:1"},
		{"GHCR.io/acme/app:1", "acme/app:1", "ghcr.io/acme/app:1", "ghcr.io--acme--app:1"},
		{"r.io/a-b/c:1", "a-b/c:1", "r.io/a-b/c:1", "r.io--a-b--c:1"},
		{"r.io/a--b/c---d:1", "a--b/c---d:1", "r.io/a--b/c---d:1", "r.io--a---b--c----d:1"},
		{"r.io/a__b/c.d:v1.0_x", "a__b/c.d:v1.0_x", "r.io/a__b/c.d:v1.0_x", "r.io--a__b--c.d:v1.0_x"},
		{"reg.local:5000/apps/there:1", "there:1", "there:1", "there:1"}, // already below
	} {
		for naming, want := range map[Naming]string{Full: tc.full, "": tc.full, Host: tc.host, Flat: tc.flat} {
			names := NewNames(&record.Record{}, Registry{"reg.local:5000", "apps"}, naming)
			if got := names.Target(tc.raw); got != "reg.local:5000/apps/"+want {
				t.Errorf("%s of %s: %s, want %s", naming, tc.raw, got, want)
			}
		}
	}
	for naming, want := range map[Naming]string{Full: "reg.local/charts/app", Host: "reg.local/charts/app", Flat: "reg.local/app"} {
		if got := NewNames(&record.Record{}, Registry{Host: "reg.local"}, naming).Chart("app"); got != want {
			t.Errorf("%s: chart at %s, want %s", naming, got, want)
		}
	}
}

func TestParseNaming(t *testing.T) {
	for s, want := range map[string]Naming{"": Full, "full": Full, "host": Host, "flat": Flat} {
		if got, err := ParseNaming(s); got != want || err != nil {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
	if _, err := ParseNaming("deep"); err == nil || fault.KindOf(err) != fault.Usage {
		t.Errorf("error %v", err)
	}
}

// No two images have one flat name, and each is a name that registries take, of
// one part.
func FuzzFlat(f *testing.F) {
	for _, s := range [][2]string{
		{"ghcr.io/a/b-c", "ghcr.io/a-b/c"}, {"ghcr.io/a/b--c", "ghcr.io/a--b/c"}, {"r.io/a/b", "r.io/a--b"}, {"r.io/a---b", "r.io/a--b"},
		{"r.io/a-b/c", "r.io/a/b/c"}, {"nats", "library/nats"}, {"a.b/c", "a.b-c/d"}, {"[::1]:5000/a", "localhost:5000/a"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, x, y string) {
		a, err := reference.ParseNormalizedNamed(x)
		if err != nil {
			return
		}
		b, err := reference.ParseNormalizedNamed(y)
		if err != nil {
			return
		}
		one, other := flatten(reference.Domain(a), reference.Path(a)), flatten(reference.Domain(b), reference.Path(b))
		if len(one) > 200 {
			return // too long to be one name, as it may have been before
		}
		if strings.Contains(one, "/") {
			t.Errorf("%s has parts", one)
		}
		if _, err := reference.ParseNormalizedNamed("reg.local/" + one); err != nil {
			t.Errorf("%s: %v", one, err)
		}
		same := strings.EqualFold(reference.Domain(a), reference.Domain(b)) && reference.Path(a) == reference.Path(b)
		plain := func(host string) bool { return !strings.ContainsAny(host, ":[]") } // ports are dashes, as in host names
		if one == other && !same && plain(reference.Domain(a)) && plain(reference.Domain(b)) {
			t.Errorf("%s and %s both become %s", x, y, one)
		}
	})
}

func TestCollisions(t *testing.T) {
	image := func(ref, content string, raws ...string) record.Image {
		im := record.Image{Reference: ref}
		if content != "" {
			im.Digest = digest.FromString(content)
		}
		for _, raw := range raws {
			im.Found = append(im.Found, record.Finding{Raw: raw})
		}
		return im
	}
	for _, tc := range []struct {
		name             string
		images           []record.Image
		full, host, flat int
	}{
		{"two registries", []record.Image{image("quay.io/a/x:1", "one"), image("ghcr.io/a/x:1", "two")}, 1, 0, 0},
		{"two registries, one content", []record.Image{image("quay.io/a/x:1", "one"), image("ghcr.io/a/x:1", "one")}, 0, 0, 0},
		{"two registries, contents unknown", []record.Image{image("quay.io/a/x:1", ""), image("ghcr.io/a/x:1", "")}, 1, 0, 0},
		{"two tags", []record.Image{image("quay.io/a/x:1", ""), image("ghcr.io/a/x:2", "")}, 0, 0, 0},
		{"two spellings of one", []record.Image{image("docker.io/library/x:1", "", "x:1", "docker.io/x:1", "docker.io/library/x:1")}, 0, 0, 0},
		{"as a chart writes it", []record.Image{image("docker.io/library/x:1", "", "x:1"), image("quay.io/x:1", "")}, 1, 0, 0},
		{"not as a chart writes it", []record.Image{image("docker.io/library/x:1", "", "x:1"), image("quay.io/library/x:1", "")}, 0, 0, 0},
		{"three", []record.Image{image("a.io/x:1", ""), image("b.io/x:1", ""), image("c.io/x:1", "")}, 2, 0, 0},
		{"paths that look alike when flat", []record.Image{image("r.io/a/b-c:1", ""), image("r.io/a-b/c:1", ""), image("r.io/a--b/c:1", "")}, 0, 0, 0},
	} {
		for naming, want := range map[Naming]int{Full: tc.full, Host: tc.host, Flat: tc.flat} {
			if got := Collisions(&record.Record{Images: tc.images}, NewNames(&record.Record{}, Registry{Host: "reg.local"}, naming)); len(got) != want {
				t.Errorf("%s, %s: %v, want %d", tc.name, naming, got, want)
			}
		}
	}
}

func TestExclude(t *testing.T) {
	rec := &record.Record{Images: []record.Image{
		{Reference: "docker.io/library/nats:1", Found: []record.Finding{{Raw: "nats:1"}, {Raw: "docker.io/nats:1"}}},
		{Reference: "ghcr.io/a/b:1@" + digest.FromString("b").String()},
	}}
	for _, tc := range []struct {
		refs   []string
		want   int
		stays  []string
		moves  []string
		failed bool
	}{
		{nil, 0, nil, []string{"nats:1"}, false},
		{[]string{"nats:1"}, 1, []string{"nats:1", "docker.io/nats:1", "docker.io/library/nats:1", "index.docker.io/library/nats:1"}, []string{"nats:2", "ghcr.io/a/b:1", "a b"}, false},
		{[]string{"ghcr.io/a/b:1@" + digest.FromString("b").String()}, 1, []string{"ghcr.io/a/b:1@" + digest.FromString("b").String()}, []string{"nats:1"}, false},
		{[]string{"ghcr.io/a/c:1"}, 0, nil, nil, true},
		{[]string{"a b"}, 0, nil, nil, true},
	} {
		names := NewNames(rec, Registry{Host: "reg.local"}, Full)
		got, err := names.Exclude(rec, tc.refs)
		var usage *fault.UsageError
		if len(got) != tc.want || errors.As(err, &usage) != tc.failed {
			t.Errorf("%v: %v, %v", tc.refs, got, err)
		}
		for _, raw := range tc.stays {
			if names.Moves(raw) {
				t.Errorf("%v: %s moves", tc.refs, raw)
			}
		}
		for _, raw := range tc.moves {
			if !names.Moves(raw) {
				t.Errorf("%v: %s stays", tc.refs, raw)
			}
		}
	}
}
