package place

import (
	"errors"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/record"
)

func descriptor(s string) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(s), Size: int64(len(s))}
}

func TestPlacements(t *testing.T) {
	old, inside := digest.FromString("old"), digest.FromString("inside")
	rec := &record.Record{Images: []record.Image{{Reference: "ghcr.io/a/pinned@" + inside.String(), Digest: inside, SourceDigest: old}}}
	for _, tc := range []struct {
		name, registry string
		naming         Naming
		raws           []string // "raw=content"
		want           []string
		collides       bool
	}{
		{"as the chart writes it", "reg.local:5000", Full,
			[]string{"docker.io/nats:1", "nats:1", "docker.io/library/nats:1"},
			[]string{"reg.local:5000/nats:1", "reg.local:5000/library/nats:1"}, false},
		{"prefix", "reg.local/a/b", Full, []string{"ghcr.io/x/y:1"}, []string{"reg.local/a/b/x/y:1"}, false},
		{"host kept", "reg.local", Host, []string{"ghcr.io/x/y:1", "nats:1"}, []string{"reg.local/ghcr.io/x/y:1", "reg.local/docker.io/nats:1"}, false},
		{"platform choice changed the digest", "reg.local", Full, []string{"ghcr.io/a/pinned@" + old.String()},
			[]string{"reg.local/a/pinned@" + inside.String()}, false},
		{"no tag is latest", "reg.local", Full, []string{"ghcr.io/x/y"}, []string{"reg.local/x/y:latest"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := ParseRegistry(tc.registry)
			if err != nil {
				t.Fatal(err)
			}
			ps := newPlacements(NewNames(rec, r, tc.naming))
			for _, raw := range tc.raws {
				if err := ps.add(raw, raw, descriptor("same")); err != nil {
					t.Fatal(err)
				}
			}
			all := ps.all()
			if len(all) != len(tc.want) {
				t.Fatalf("%d placements, want %d: %v", len(all), len(tc.want), all)
			}
			for i, p := range all {
				if p.Target.String() != tc.want[i] {
					t.Errorf("%s, want %s", p.Target, tc.want[i])
				}
			}
		})
	}
}

func TestPlacementsRefuse(t *testing.T) {
	r := Registry{Host: "reg.local"}
	ps := newPlacements(NewNames(&record.Record{}, r, Full))
	if err := ps.add("ghcr.io/a/x:1", "ghcr.io/a/x:1", descriptor("one")); err != nil {
		t.Fatal(err)
	}
	if err := ps.add("quay.io/a/x:1", "quay.io/a/x:1", descriptor("one")); err != nil {
		t.Errorf("the same content twice is no collision: %v", err)
	}
	var c *CollisionError
	if err := ps.add("quay.io/a/x:1", "quay.io/a/x:1", descriptor("other")); !errors.As(err, &c) {
		t.Errorf("error %v, want a CollisionError", err)
	} else if c.Target != "reg.local/a/x:1" || fault.Hint(err) == "" {
		t.Errorf("%v, hint %q", err, fault.Hint(err))
	}
	// A tag is one name, with or without a digest beside it.
	pinned := "docker.io/a/x:1@" + digest.FromString("pinned").String()
	if err := ps.add(pinned, pinned, descriptor("pinned")); !errors.As(err, &c) {
		t.Errorf("error %v, want a CollisionError", err)
	}
	if err := ps.addAt("elsewhere.example/a:1", "a", descriptor("one")); err == nil {
		t.Error("a name on another host was taken")
	}
}
