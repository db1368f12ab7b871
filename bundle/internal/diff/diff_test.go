package diff

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"bundle/bundle/internal/open"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/trust"
)

func text(values []Value) string {
	var all []string
	for _, v := range values {
		all = append(all, fmt.Sprintf("%s %s %v←%v", v.State, v.Key, v.Value, v.Previous))
	}
	return strings.Join(all, "; ")
}

func TestValues(t *testing.T) {
	t.Parallel()
	type m = map[string]any
	for _, c := range []struct {
		name       string
		older, now m
		want       string
	}{
		{"nothing", nil, nil, ""},
		{"the same, read from YAML and from JSON", m{"n": int64(1), "f": 1.5, "l": []any{1}}, m{"n": 1.0, "f": 1.5, "l": []any{1.0}}, ""},
		{"a text is no number", m{"n": "1"}, m{"n": 1}, "changed n 1←1"},
		{"deep", m{"a": m{"b": m{"c": 1, "d": 2}}}, m{"a": m{"b": m{"c": 3, "e": 4}}}, "changed a.b.c 3←1; removed a.b.d <nil>←2; added a.b.e 4←<nil>"},
		{"a map that is new", nil, m{"a": m{"b": 1, "c": m{"d": 2}}}, "added a.b 1←<nil>; added a.c.d 2←<nil>"},
		{"a map of one that is gone", m{"a": m{"b": 1}}, nil, "removed a.b <nil>←1"},
		{"an empty map", m{"a": m{}}, m{"b": m{}}, "removed a <nil>←map[]; added b map[]←<nil>"},
		{"a map in place of a text", m{"a": "x"}, m{"a": m{"b": 1}}, "changed a map[b:1]←x"},
		{"null is a value", m{"a": nil, "b": nil}, m{"a": nil}, "removed b <nil>←<nil>"},
		{"lists of one length", m{"l": []any{"a", m{"x": 1}}}, m{"l": []any{"b", m{"x": 2}}}, "changed l[0] b←a; changed l[1].x 2←1"},
		{"lists of another", m{"l": []any{"a"}}, m{"l": []any{"a", "b"}}, "changed l [a b]←[a]"},
		{"keys that helm would take apart", m{"a.b/c": 1, "x,y=z": 1, `w\[`: 1}, m{}, `removed a\.b/c <nil>←1; removed w\\\[ <nil>←1; removed x\,y\=z <nil>←1`},
	} {
		if got := text(compareValues(c.older, c.now)); got != c.want {
			t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
		}
		for _, v := range compareValues(c.now, c.now) {
			t.Errorf("%s: %+v differs from itself", c.name, v)
		}
	}
}

func TestRecords(t *testing.T) {
	t.Parallel()
	im := func(ref, content string) record.Image {
		return record.Image{Reference: ref, Digest: digest.FromString(content), Size: 10}
	}
	ch := func(name, version, release string) record.Chart {
		return record.Chart{Name: name, Version: version, Release: release, Digest: digest.FromString(name + version)}
	}
	twin := ch("twin", "1", "a")
	twin.Values = map[string]any{"x": 1}
	older := &record.Record{
		Images:    []record.Image{im("r.io/a:1", "a"), im("r.io/b:1", "b"), im("r.io/c:1", "c"), im("r.io/d:1", "d1"), im("r.io/d:2", "d2"), im("not a name", "x")},
		Charts:    []record.Chart{ch("app", "1", "app"), ch("gone", "1", "gone"), ch("twin", "1", "b"), ch("twin", "1", "a")},
		Referrers: []record.Image{im("r.io/a@1", "s1"), im("r.io/a@2", "s2"), im("r.io/b@2", "s2")},
	}
	newer := &record.Record{
		Images:    []record.Image{im("r.io/a:1", "a"), im("r.io/b:1", "B"), im("r.io/c:2", "c"), im("r.io/d:3", "d3")},
		Charts:    []record.Chart{ch("app", "2", "app"), twin, ch("twin", "1", "b"), ch("new", "1", "new")},
		Referrers: []record.Image{im("r.io/a@1", "s1"), im("r.io/a@3", "s3")},
	}
	r := compareRecords(older, newer)
	var images, charts []string
	for _, d := range r.Images {
		images = append(images, fmt.Sprintf("%s %s %s", d.State, d.Reference, d.Instead))
	}
	for _, c := range r.Charts {
		charts = append(charts, fmt.Sprintf("%s %s %s←%s %s", c.State, c.Name, c.Version, c.PreviousVersion, text(c.Given)))
	}
	wantImages := "removed not a name ;changed r.io/b:1 ;removed r.io/c:1 ;added r.io/c:2 r.io/c:1;removed r.io/d:1 ;removed r.io/d:2 ;added r.io/d:3 "
	if got := strings.Join(images, ";"); got != wantImages || r.SameImages != 1 {
		t.Errorf("images %s (%d the same)\nwant   %s", got, r.SameImages, wantImages)
	}
	wantCharts := "changed app 2←1 ;removed gone ←1 ;added new 1← ;changed twin 1←1 added x 1←<nil>"
	if got := strings.Join(charts, ";"); got != wantCharts || r.SameCharts != 1 {
		t.Errorf("charts %s (%d the same)\nwant   %s", got, r.SameCharts, wantCharts)
	}
	if want := (Count{Added: 1, Removed: 1, Same: 1}); r.Referrers != want {
		t.Errorf("referrers %+v, want %+v", r.Referrers, want)
	}
	if r := compareRecords(newer, newer); len(r.Charts)+len(r.Images)+r.Referrers.Added+r.Referrers.Removed > 0 {
		t.Errorf("a record differs from itself: %+v", r)
	}
}

// What is said of sizes is what the files have: of a whole bundle, and of a delta with
// that base.
func TestBundles(t *testing.T) {
	t.Parallel()
	const golden = "../../../testdata/golden/"
	file := func(name string) (*open.Bundle, int64) {
		b, err := open.File(t.Context(), golden+name, trust.TrustAnyone())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		fi, err := os.Stat(golden + name)
		if err != nil {
			t.Fatal(err)
		}
		return b, fi.Size()
	}
	whole, wholeSize := file("v1.bundle.tar")
	again, _ := file("v1b.bundle.tar")
	delta, deltaSize := file("delta-v1.bundle.tar")
	for _, tc := range []struct {
		name         string
		older, newer *open.Bundle
		want         string
		weight       Weight
	}{
		// Only the records differ.
		{"another record", again, whole, "", Weight{Full: wholeSize, Delta: 27136, Kept: Layers{5, 10486}}},
		{"a delta", whole, delta, "removed docker.io/acme/app:1.0  0; added ghcr.io/acme/new:1  2073; chart removed app", Weight{Full: 22528, Delta: deltaSize, Layers: Layers{1, 2073}, Kept: Layers{1, 2585}}},
		{"back from it", delta, whole, "added docker.io/acme/app:1.0  7901; removed ghcr.io/acme/new:1  0; chart added app", Weight{Full: wholeSize, Delta: 38912, Layers: Layers{4, 7901}, Kept: Layers{1, 2585}}},
	} {
		r, err := Bundles(tc.older, tc.newer)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, im := range r.Images {
			all = append(all, fmt.Sprintf("%s %s %s %d", im.State, im.Reference, im.Instead, im.Moves))
		}
		for _, c := range r.Charts {
			all = append(all, fmt.Sprintf("chart %s %s", c.State, c.Name))
		}
		if got := strings.Join(all, "; "); got != tc.want {
			t.Errorf("%s: %s\nwant %s", tc.name, got, tc.want)
		}
		if d := cmp.Diff(tc.weight, r.Weight); d != "" {
			t.Errorf("%s: -want +got\n%s", tc.name, d)
		}
	}
}

// Charts are paired as somebody would who looks at them: by what is the same in most.
func TestPairs(t *testing.T) {
	t.Parallel()
	ch := func(version, release, content string) record.Chart {
		return record.Chart{Name: "app", Version: version, Release: release, Digest: digest.FromString(content)}
	}
	for _, tc := range []struct {
		name         string
		older, newer []record.Chart
		want         string
		same         int
	}{
		{"content that changed under its version", []record.Chart{ch("1", "a", "x")}, []record.Chart{ch("1", "a", "y")}, "changed 1←1 []", 0},
		{"the same content first", []record.Chart{ch("1", "a", "x"), ch("1", "a", "y")}, []record.Chart{ch("1", "a", "y"), ch("1", "a", "z")}, "changed 1←1 []", 1},
		{"the release before the version", []record.Chart{ch("1", "a", "x"), ch("2", "b", "y")}, []record.Chart{ch("2", "a", "y"), ch("1", "b", "x")}, "changed 1←2 []; changed 2←1 []", 0},
		{"the version where the release is another", []record.Chart{ch("1", "a", "x"), ch("2", "a", "y")}, []record.Chart{ch("2", "c", "y")}, "removed ←1 []; changed 2←2 [changed release c←a]", 0},
		{"the version and the release before either", []record.Chart{ch("1", "b", "x"), ch("2", "a", "y"), ch("1", "a", "z")}, []record.Chart{ch("1", "a", "w")}, "removed ←1 []; removed ←2 []; changed 1←1 []", 0},
		{"nothing in common but the name", []record.Chart{ch("1", "a", "x")}, []record.Chart{ch("2", "b", "y")}, "changed 2←1 [changed release b←a]", 0},
	} {
		r := compareRecords(&record.Record{Charts: tc.older}, &record.Record{Charts: tc.newer})
		var all []string
		for _, c := range r.Charts {
			all = append(all, fmt.Sprintf("%s %s←%s [%s]", c.State, c.Version, c.PreviousVersion, text(c.Inputs)))
		}
		if got := strings.Join(all, "; "); got != tc.want || r.SameCharts != tc.same {
			t.Errorf("%s: %s, %d the same; want %s, %d", tc.name, got, r.SameCharts, tc.want, tc.same)
		}
	}
	given := ch("1", "b", "x")
	given.Values = map[string]any{"v": 1}
	if r := compareRecords(&record.Record{Charts: []record.Chart{ch("1", "a", "x")}}, &record.Record{Charts: []record.Chart{given}}); len(r.Charts) != 1 || r.SameCharts != 0 {
		t.Errorf("another release and another value: %+v", r)
	}
	c := record.Chart{Release: "r", Namespace: "n", KubeVersion: "v1", APIVersions: []string{"a/v1"}, LeftOut: []string{"b"}, SkipTests: true}
	if got, want := text(compareValues(inputs(record.Chart{}), inputs(c))), "added apiVersions [a/v1]←<nil>; changed kubeVersion v1←; added leftOut [b]←<nil>; changed namespace n←; changed release r←; added skipTests true←<nil>"; got != want {
		t.Errorf("inputs %s\nwant   %s", got, want)
	}
}
