package record

import (
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
