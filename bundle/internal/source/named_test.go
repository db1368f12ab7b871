package source

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/record"
)

func TestNameReferences(t *testing.T) {
	for _, tc := range []struct{ raw, ref, answers string }{
		{"nginx", "nginx", ""},
		{"ghcr.io/acme/app:1", "ghcr.io/acme/app:1", ""},
		{"oci://ghcr.io/acme/app:1", "oci://ghcr.io/acme/app:1", ""},
		{"auto=docker.io/istio/proxyv2:1.27", "docker.io/istio/proxyv2:1.27", "auto"},
		{"auto=nginx", "nginx", "auto"},
		{"{{workflow.parameters.image}}=ghcr.io/acme/step:1", "ghcr.io/acme/step:1", "{{workflow.parameters.image}}"},
		{"{{if eq .a \"b=c\"}}=ghcr.io/acme/step:1", "ghcr.io/acme/step:1", "{{if eq .a \"b=c\"}}"},
		{"ghcr.io/acme/agent=ghcr.io/acme/agent:7", "ghcr.io/acme/agent:7", "ghcr.io/acme/agent"},
	} {
		n, err := Name(t.Context(), []string{tc.raw})
		if err != nil {
			t.Errorf("%s: %v", tc.raw, err)
			continue
		}
		if len(n.Findings) != 1 || n.Findings[0].Raw != tc.ref || strings.Join(slices.Collect(maps.Keys(n.Answers)), " ") != tc.answers {
			t.Errorf("%s: got %+v, answers %q", tc.raw, n.Findings, n.Answers)
		}
	}
	for _, raw := range []string{"", "=", "auto=", "auto=UPPER", "Ghcr.io/Acme/App:1", "a b", "oci:/not/there", "docker-archive:/not/there.tar", "x=oci-archive:/not/there.tar:1"} {
		if _, err := Name(t.Context(), []string{raw}); fault.KindOf(err) != fault.Usage {
			t.Errorf("%q: %v, want a usage error", raw, err)
		}
	}
}

func TestCutAnswer(t *testing.T) {
	for _, tc := range []struct{ raw, text, from string }{
		{"oci:/a=b:tag", "", "oci:/a=b:tag"},
		{"ghcr.io/acme/app:1=oci:/a=b:tag", "ghcr.io/acme/app:1", "oci:/a=b:tag"},
		{"a=b=docker-archive:x=y.tar", "a=b", "docker-archive:x=y.tar"},
		{"auto=oci-archive:x.tar:1", "auto", "oci-archive:x.tar:1"},
		{"auto=oci://ghcr.io/acme/app:1", "auto", "oci://ghcr.io/acme/app:1"},
	} {
		if text, from := cutAnswer(tc.raw); text != tc.text || from != tc.from {
			t.Errorf("%s: got %q and %q", tc.raw, text, from)
		}
	}
}

func TestFileName(t *testing.T) {
	for _, tc := range []struct{ as, own, path, want string }{
		{"", "ghcr.io/acme/app:1", "x", "ghcr.io/acme/app:1"},
		{"", "acme/app:1", "x", "docker.io/acme/app:1"},
		{"", "nginx:1.27", "x", "docker.io/library/nginx:1.27"},
		{"", "1.27", "/tmp/nginx", "localhost/nginx:1.27"},
		{"", "", "My_Images.tar", "localhost/my-images:latest"},
		{"", "v1", "./dir/app.oci.tar", "localhost/app:v1"},
		{"ghcr.io/acme/app:2", "1.27", "x", "ghcr.io/acme/app:2"},
	} {
		got, err := fileName(tc.as, tc.own, tc.path)
		if err != nil || got.String() != tc.want {
			t.Errorf("%+v: got %s (%v)", tc, got, err)
		}
	}
	for _, tc := range []struct{ as, own, path string }{{"", "", "..."}, {"auto UPPER", "", "x"}, {"", "a tag", "x"}} {
		if got, err := fileName(tc.as, tc.own, tc.path); err == nil {
			t.Errorf("%+v: got %s", tc, got)
		}
	}
}

func TestFileUnder(t *testing.T) {
	for raw, want := range map[string]string{
		"ghcr.io/acme/app:1":           "ghcr.io/acme/app:1",
		"oci:folder:1":                 "oci:dir/folder:1",
		"oci:/abs/folder:1":            "oci:/abs/folder:1",
		"a/b:1=docker-archive:x.tar:c": "a/b:1=docker-archive:dir/x.tar:c",
		"auto=ghcr.io/acme/app:1":      "auto=ghcr.io/acme/app:1",
	} {
		if got := fileUnder("dir", raw); got != want {
			t.Errorf("%s: got %s, want %s", raw, got, want)
		}
	}
}

// Images in files may have destinations, if they have names.
func TestConfigImagesInFiles(t *testing.T) {
	c, err := parseConfig([]byte("images:\n- oci:folder:1\n- {source: 'ghcr.io/a/b:1=oci:folder:1', destination: reg.local/x/y}\n- auto=ghcr.io/a/c:1\n"), "f")
	if err != nil || len(c.Images) != 3 {
		t.Fatalf("%+v: %v", c, err)
	}
	if path, err := c.Images[1].destinationPath(); err != nil || path != "x/y:1" {
		t.Errorf("destination %q (%v)", path, err)
	}
	if _, err := parseConfig([]byte("images:\n- {source: 'oci:folder:1', destination: reg.local/x/y:2}\n"), "f"); err == nil || !strings.Contains(err.Error(), "no name") {
		t.Errorf("a destination without a name: %v", err)
	}
}

func TestParseList(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"a:1\nb:2\n", "a:1 b:2"},
		{"\ufeff# images\r\na:1\r\n\r\n   b:2   # the second\r\n#c:3", "a:1 b:2"},
		{"a:1", "a:1"},
		{"auto=x:1\noci:folder#1:tag\n", "auto=x:1 oci:folder#1:tag"},
	} {
		got, err := parseList([]byte(tc.text), "list")
		if err != nil || strings.Join(got, " ") != tc.want {
			t.Errorf("%q: got %q (%v)", tc.text, got, err)
		}
	}
	for text, want := range map[string]string{"": "no image", "# none\n": "no image", "a:1\nb:2 c:3\n": "line 2", "a\x00b": "line 1"} {
		if _, err := parseList([]byte(text), "list"); fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want a usage error with %q", text, err, want)
		}
	}
	name := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(name, []byte("a:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, _, err := LoadList(t.Context(), name); err != nil || len(got) != 1 {
		t.Errorf("got %q (%v)", got, err)
	}
}

func FuzzParseList(f *testing.F) {
	for _, s := range []string{"a:1\nb:2 # x\n", "\ufeff#\r\n", "a b"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := parseList(b, "list")
		if (err == nil) != (len(got) > 0) {
			t.Fatalf("%q and %v", got, err)
		}
		again, err2 := parseList([]byte(strings.Join(got, "\n")), "list")
		if err == nil && (err2 != nil || !slices.Equal(got, again)) && !strings.Contains(string(b), "#") {
			t.Fatalf("%q reads as %q (%v)", got, again, err2)
		}
	})
}

func TestSort(t *testing.T) {
	found := func(raw string, c name.Confidence) record.Finding {
		return record.Finding{Raw: raw, Chart: "app-1", Confidence: string(c)}
	}
	named := func(raw string) record.Finding { return record.Finding{Raw: raw, Confidence: string(name.Image)} }
	all := []record.Finding{
		found("ghcr.io/acme/app:1", name.Image), found("ghcr.io/acme/agent", name.Repository), found("auto", name.Placeholder),
		found("!*:latest", name.Placeholder), found("", name.Placeholder),
	}
	raws := func(list []record.Finding) string {
		var s []string
		for _, f := range list {
			s = append(s, strings.TrimSuffix(f.Raw+">"+f.Answer, ">"))
		}
		return strings.Join(s, ",")
	}
	for _, tc := range []struct {
		name                     string
		named                    []record.Finding
		ignore                   []string
		answers                  map[string]string
		pullable, open, accepted string
	}{
		{"nothing said", nil, nil, nil, "ghcr.io/acme/app:1", "ghcr.io/acme/agent,auto,!*:latest,", ""},
		{"image of the repository", []record.Finding{named("ghcr.io/acme/agent:7")}, nil, nil, "ghcr.io/acme/app:1,ghcr.io/acme/agent:7", "auto,!*:latest,", ""},
		{"ignored", nil, []string{"auto", "!*:latest", ""}, nil, "ghcr.io/acme/app:1", "ghcr.io/acme/agent", "auto,!*:latest,"},
		{"ignored by another spelling", nil, []string{"ghcr.io/acme/agent:latest"}, nil, "ghcr.io/acme/app:1", "auto,!*:latest,", "ghcr.io/acme/agent"},
		{"ignored though it can be pulled", nil, []string{"ghcr.io/acme/app:1"}, nil, "", "ghcr.io/acme/agent,auto,!*:latest,", "ghcr.io/acme/app:1"},
		{"answered", []record.Finding{named("x/y:1")}, nil, map[string]string{"auto": "docker.io/x/y:1"}, "ghcr.io/acme/app:1,x/y:1", "ghcr.io/acme/agent,!*:latest,", "auto>docker.io/x/y:1"},
	} {
		got, err := Sort(append(slices.Clone(all), tc.named...), tc.ignore, tc.answers)
		if err != nil || raws(got.Pullable) != tc.pullable || raws(got.Open) != tc.open || raws(got.Accepted) != tc.accepted {
			t.Errorf("%s: %q, %q, %q (%v)", tc.name, raws(got.Pullable), raws(got.Open), raws(got.Accepted), err)
		}
	}
	if _, err := Sort(all, []string{"otto"}, nil); fault.KindOf(err) != fault.Usage {
		t.Errorf("ignored nothing: %v", err)
	}
	if _, err := Sort(all, nil, map[string]string{"otto": "x:1"}); fault.KindOf(err) != fault.Usage {
		t.Errorf("answered nothing: %v", err)
	}
	texts, rest := Placeholders(all, []string{"auto", "ghcr.io/acme/app:1", "!*:latest", "otto"})
	if strings.Join(texts, " ") != "auto !*:latest" || strings.Join(rest, " ") != "ghcr.io/acme/app:1 otto" {
		t.Errorf("%q and %q", texts, rest)
	}
}

// Upper case in a name is called by its name, and anything else is not.
func TestWhy(t *testing.T) {
	for _, tc := range []struct {
		raw   string
		c     name.Confidence
		upper bool
	}{
		{"ghcr.io/Acme/App:1.0", name.Placeholder, true},
		{"GHCR.io/acme/App", name.Placeholder, true},
		{"Nginx:1.27", name.Placeholder, true},
		{"auto", name.Placeholder, false},
		{"AUTO", name.Placeholder, false},
		{"{{Workflow.image}}", name.Placeholder, false},
		{"ghcr.io/acme/app", name.Repository, false},
		{"", name.Placeholder, false},
	} {
		reason, advice := Why(record.Finding{Raw: tc.raw, Confidence: string(tc.c)})
		if strings.Contains(reason, "upper case") != tc.upper || strings.Contains(advice, "lower case") != tc.upper {
			t.Errorf("%q: %s; %s", tc.raw, reason, advice)
		}
	}
}
