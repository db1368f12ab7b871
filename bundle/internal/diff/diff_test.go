package diff

import (
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"bundle/bundle/internal/record"
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
