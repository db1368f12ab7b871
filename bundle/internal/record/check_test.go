package record

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

const (
	one = digest.Digest("sha256:1111111111111111111111111111111111111111111111111111111111111111")
	two = digest.Digest("sha256:2222222222222222222222222222222222222222222222222222222222222222")
)

// Where a reference was found decides under which name its image is pushed: it
// has to be a name of that image, and a pin the digest that is inside or was at
// the source.
func TestCheckFound(t *testing.T) {
	const app = "docker.io/acme/app"
	for _, c := range []struct {
		reference string
		source    digest.Digest // before a platform choice
		raw       string
		want      string // part of the error; empty: none
	}{
		{app + ":1", "", "acme/app:1", ""},
		{app + ":1", "", "docker.io/acme/app:1", ""},
		{app + "@" + string(one), "", "acme/app@" + string(one), ""},
		{app + ":1@" + string(one), "", "acme/app:1@" + string(one), ""},
		{app + ":1@" + string(one), two, "acme/app:1@" + string(two), ""},
		{app + ":1", "", "acme/app:2", "another image"},
		{app + ":1", "", "ghcr.io/acme/app:1", "another image"},
		{app + ":1@" + string(one), "", "acme/app:1@" + string(two), "another digest"},
		{app + "@" + string(one), "", "acme/app@" + string(two), "another digest"},
		{app + ":1@" + string(one), two, "acme/app:1@sha256:" + strings.Repeat("3", 64), "another image"},
		{app + ":1", "", "acme/app:1@" + string(one), "another image"},
		{app + ":1", "", "Acme//App", "Acme//App"},
	} {
		im := Image{Reference: c.reference, Digest: one, SourceDigest: c.source}
		err := im.CheckFound(Finding{Raw: c.raw})
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s found as %s: %v", c.reference, c.raw, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s found as %s: error %v, want %q", c.reference, c.raw, err, c.want)
		}
	}
}

func TestCheckReferrer(t *testing.T) {
	sig := strings.Replace(string(one), ":", "-", 1) + ".sig"
	for _, c := range []struct {
		name   string
		im     Image
		inside bool
		ok     bool
	}{
		{"by digest", Image{Reference: "docker.io/a/b@" + string(two), Subject: one}, true, true},
		{"cosign's tag", Image{Reference: "docker.io/a/b:" + sig, Subject: one}, true, true},
		{"cosign's tag of another", Image{Reference: "docker.io/a/b:" + sig, Subject: two}, true, false},
		{"a tag", Image{Reference: "docker.io/a/b:1", Subject: one}, true, false},
		{"of nothing inside", Image{Reference: "docker.io/a/b@" + string(two), Subject: one}, false, false},
		{"an image, too", Image{Reference: "docker.io/a/b@" + string(two), Subject: one, Found: []Finding{{Raw: "b"}}}, true, false},
		{"placed by the user", Image{Reference: "docker.io/a/b@" + string(two), Subject: one, Destination: "a:1"}, true, false},
		{"chosen by platform", Image{Reference: "docker.io/a/b@" + string(two), Subject: one, SourceDigest: one}, true, false},
		{"no reference", Image{Reference: "//", Subject: one}, true, false},
	} {
		if err := c.im.CheckReferrer(c.inside); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestCheckDestination(t *testing.T) {
	for destination, ok := range map[string]bool{
		"": true, "apps/a:1": true, "a:1": true,
		"a": false, "../a:1": false, "/a:1": false, "host.example/../a:1": false, "A:1": false,
		"a:1@" + string(one): true,
	} {
		if err := (Image{Destination: destination}).CheckDestination(); (err == nil) != ok {
			t.Errorf("%q: %v", destination, err)
		}
	}
}

// Every text of a record is looked at before it is shown: a field that is added
// later is not forgotten. Values are the chart's business and are not shown.
func TestTextsVisitsEveryText(t *testing.T) {
	r := new(Record)
	n := 0
	var fill func(v reflect.Value)
	fill = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.String:
			v.SetString(fmt.Sprint("text ", n))
			n++
		case reflect.Struct:
			for i := range v.NumField() {
				if v.Type().Field(i).IsExported() {
					fill(v.Field(i))
				}
			}
		case reflect.Pointer:
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem())
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			fill(v.Index(0))
		}
	}
	fill(reflect.ValueOf(r).Elem())
	if n < 40 {
		t.Fatalf("only %d texts found", n)
	}
	seen := make(map[string]int)
	r.texts(func(s *string) { seen[*s]++ })
	for i := range n {
		if text := fmt.Sprint("text ", i); seen[text] != 1 {
			t.Errorf("%s of %d is visited %d times: %+v", text, n, seen[text], *r)
		}
	}
}

// A record and index.json tell the same story, name by name.
func TestAgrees(t *testing.T) {
	whole := func() (*Record, map[string]digest.Digest) {
		r := &Record{
			Charts:    []Chart{{Name: "app", Version: "1.0.0", Reference: "bundle.invalid/charts/app:1.0.0", Digest: one, Release: "app", Namespace: "default", KubeVersion: "v1.34.0"}},
			Images:    []Image{{Reference: "docker.io/a/b:1", Digest: one}},
			Referrers: []Image{{Reference: "docker.io/a/b@" + string(two), Digest: two}},
		}
		return r, map[string]digest.Digest{
			"bundle.invalid/charts/app:1.0.0": one, "docker.io/a/b:1": one, "docker.io/a/b@" + string(two): two,
		}
	}
	for _, c := range []struct {
		name   string
		change func(*Record, map[string]digest.Digest)
		want   string // part of the error; empty: none
	}{
		{"the same", func(*Record, map[string]digest.Digest) {}, ""},
		{"image of other content", func(_ *Record, n map[string]digest.Digest) { n["docker.io/a/b:1"] = two }, "index.json says"},
		{"image not in index.json", func(_ *Record, n map[string]digest.Digest) { delete(n, "docker.io/a/b:1") }, "index.json says"},
		{"chart of other content", func(_ *Record, n map[string]digest.Digest) { n["bundle.invalid/charts/app:1.0.0"] = two }, "index.json says"},
		{"referrer not in index.json", func(_ *Record, n map[string]digest.Digest) { delete(n, "docker.io/a/b@"+string(two)) }, "index.json says"},
		{"image that only index.json has", func(_ *Record, n map[string]digest.Digest) { n["docker.io/x/y:1"] = one }, "does not say what docker.io/x/y:1"},
		{"image twice", func(r *Record, _ map[string]digest.Digest) { r.Images = append(r.Images, r.Images[0]) }, "twice"},
		{"referrer that is an image", func(r *Record, _ map[string]digest.Digest) { r.Referrers = append(r.Referrers, r.Images[0]) }, "twice"},
		{"release", func(r *Record, _ map[string]digest.Digest) { r.Charts[0].Release = "../x" }, "release name"},
		{"namespace", func(r *Record, _ map[string]digest.Digest) { r.Charts[0].Namespace = "" }, "namespace"},
		{"chart name", func(r *Record, _ map[string]digest.Digest) { r.Charts[0].Name = "a/b" }, "no chart name"},
		{"Kubernetes version", func(r *Record, _ map[string]digest.Digest) { r.Charts[0].KubeVersion = "x" }, "kubeVersion"},
		{"as many charts as may be", func(r *Record, _ map[string]digest.Digest) {
			for len(r.Charts) < MaxCharts {
				r.Charts = append(r.Charts, r.Charts[0])
			}
		}, ""},
		{"one chart too many", func(r *Record, _ map[string]digest.Digest) {
			for len(r.Charts) <= MaxCharts {
				r.Charts = append(r.Charts, r.Charts[0])
			}
		}, "more than the 1000"},
	} {
		r, names := whole()
		c.change(r, names)
		err := r.Agrees(names)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

func TestWhere(t *testing.T) {
	for want, f := range map[string]Finding{
		"named by the user":                                  {Raw: "a:1"},
		"app-1.0.0: Chart.yaml":                              {Chart: "app-1.0.0"},
		"app/templates/x.yaml: Pod spec.containers[0].image": {Chart: "app-1.0.0", Template: "app/templates/x.yaml", Kind: "Pod", Path: "spec.containers[0].image"},
	} {
		if got := f.Where(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A record that is newer than this program is said to be so, whatever it holds.
func TestVersion(t *testing.T) {
	var newer *VersionError
	if _, err := Parse([]byte(`{"formatVersion":2,"unheard":"of"}`)); !errors.As(err, &newer) || newer.Found != 2 {
		t.Errorf("%v", err)
	}
	for _, doc := range []string{`{"formatVersion":1,"unheard":"of"}`, `{"formatVersion":1,"tool":"a","Tool":"b"}`, `{"formatVersion":1,"tool":"\u0007"}`, `{"formatVersion":"1"}`} {
		if r, err := Parse([]byte(doc)); err == nil {
			t.Errorf("%s: read as %+v", doc, r)
		}
	}
}

// What no reader would take is not written.
func TestEncodeRefuses(t *testing.T) {
	deep := any("x")
	for range 120 {
		deep = map[string]any{"a": deep}
	}
	r := &Record{FormatVersion: FormatVersion, Charts: []Chart{{Values: map[string]any{"a": deep}}}}
	if _, err := r.Encode(); err == nil || !strings.Contains(err.Error(), "deeper than 100") {
		t.Errorf("%v", err)
	}
}
