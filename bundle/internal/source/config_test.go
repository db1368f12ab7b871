package source

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/image"
)

func TestParseConfig(t *testing.T) {
	c, err := parseConfig([]byte(`
charts:
  - chart: operator
    repo: https://charts.example.com
    version: 1.10
    values: [a.yaml, b.yaml]
    set: [x.y=1]
    release: op
    namespace: ops
    kubeVersion: v1.33.0
    apiVersions: [example.com/v1]
  - chart: ./other
    values:
      replicas: 2
      image: {tag: "1.0"}
images:
  - docker.io/library/nginx:1.27
  - source: ghcr.io/a/b:1
    destination: registry.local:5000/mirror/b:1
platforms: [linux/amd64, linux/arm/v7]
`), "x.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Charts: []ChartSpec{
			{Ref: "operator", Repo: "https://charts.example.com", Version: "1.10", ValueFiles: []string{"a.yaml", "b.yaml"},
				Set: []string{"x.y=1"}, Release: "op", Namespace: "ops", KubeVersion: "v1.33.0", APIVersions: []string{"example.com/v1"}},
			{Ref: "./other", Values: map[string]any{"replicas": 2, "image": map[string]any{"tag": "1.0"}}},
		},
		Images: []ImageSpec{
			{Source: "docker.io/library/nginx:1.27"},
			{Source: "ghcr.io/a/b:1", Destination: "registry.local:5000/mirror/b:1"},
		},
		Platforms: []image.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm", Variant: "v7"}},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v\nwant %+v", c, want)
	}
}

func TestParseConfigRefuses(t *testing.T) {
	for _, tc := range []struct {
		text string
		line int
		what string
	}{
		{"", 0, "empty"},
		{"platforms: [linux/amd64]\n", 1, "neither charts nor images"},
		{"image: []\n", 1, `unknown key "image"`},
		{"images:\n  - a:1\n  - src: b:1\n", 3, `unknown key "src"`},
		{"images:\n  - a:1\nimages: []\n", 3, "stands twice"},
		{"images: a:1\n", 1, "want a list"},
		{"images:\n  - UPPER:1\n", 2, "UPPER"},
		{"images:\n  - {}\n", 2, "without a source"},
		{"images:\n  - source: a:1\n    destination: b@sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\n", 2, "digest"},
		{"charts:\n  - version: 1\n", 2, "without chart:"},
		{"charts:\n  - chart: x\n    value: [a]\n", 3, `unknown key "value"`},
		{"charts:\n  - chart: x\n    values: a.yaml\n", 3, "list of files"},
		{"charts:\n  - chart: null\n", 2, "want a text"},
		{"images: [a:1]\nplatforms: [amd64]\n", 2, "os/arch"},
		{"- a:1\n", 1, "want a mapping"},
		{"a: [\n", 0, "yaml"},
	} {
		_, err := parseConfig([]byte(tc.text), "x.yaml")
		var c *fault.ConfigError
		if !errors.As(err, &c) {
			t.Errorf("%q: error %v, want a ConfigError", tc.text, err)
			continue
		}
		if c.Line != tc.line || !strings.Contains(c.What, tc.what) {
			t.Errorf("%q: line %d: %s; want line %d: %s", tc.text, c.Line, c.What, tc.line, tc.what)
		}
		if fault.KindOf(err) != fault.Usage {
			t.Errorf("%q: kind %d", tc.text, fault.KindOf(err))
		}
	}
}

// A chart in a configuration file is a path below the file's folder, unless it can
// be none.
func TestLoadConfigPaths(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "charts", "there"), 0o755); err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]string{
		"https://example.com/app-1.0.0.tgz": "https://example.com/app-1.0.0.tgz",
		"http://example.com/app-1.0.0.tgz":  "http://example.com/app-1.0.0.tgz",
		"oci://ghcr.io/acme/charts/app":     "oci://ghcr.io/acme/charts/app",
		"bitnami/nginx":                     "bitnami/nginx",
		"charts/there":                      filepath.Join(dir, "charts/there"),
		"./bitnami/nginx":                   filepath.Join(dir, "bitnami/nginx"),
		"../bitnami":                        filepath.Join(filepath.Dir(dir), "bitnami"),
		"a/b/c":                             filepath.Join(dir, "a/b/c"),
		"app-1.0.0.tgz":                     filepath.Join(dir, "app-1.0.0.tgz"),
		"/srv/app":                          "/srv/app",
	} {
		file := filepath.Join(dir, "c.yaml")
		if err := os.WriteFile(file, []byte("charts:\n  - chart: "+ref+"\n    values: [site.yaml]\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		c, err := LoadConfig(t.Context(), file)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Charts[0].Ref; got != want {
			t.Errorf("%s: %s, want %s", ref, got, want)
		}
		if got := c.Charts[0].ValueFiles[0]; got != filepath.Join(dir, "site.yaml") {
			t.Errorf("values file %s", got)
		}
	}
}

func TestDestinationPath(t *testing.T) {
	for in, want := range map[ImageSpec]string{
		{"docker.io/library/nginx:1.27", "registry.local/web/nginx:2"}:    "web/nginx:2",
		{"docker.io/library/nginx:1.27", "registry.local:5000/web/nginx"}: "web/nginx:1.27",
		{"docker.io/library/nginx", "registry.local/web/nginx"}:           "web/nginx:latest",
		{"docker.io/library/nginx:1.27", "web/nginx"}:                     "web/nginx:1.27",
		{"docker.io/library/nginx:1.27", "localhost/nginx"}:               "nginx:1.27",
		{"docker.io/library/nginx:1.27", "nginx:3"}:                       "nginx:3",
	} {
		if got, err := in.destinationPath(); err != nil || got != want {
			t.Errorf("%+v: %q, %v; want %q", in, got, err, want)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add("images:\n  - a:1\n  - source: b:1\n    destination: r.io/b\n")
	f.Add("charts:\n  - chart: x\n    values: {a: 1}\nplatforms: [linux/amd64]\n")
	f.Add("a: &x [*x]\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseConfig([]byte(text), "x.yaml")
		if err == nil && len(c.Charts) == 0 && len(c.Images) == 0 {
			t.Error("an empty configuration was taken")
		}
		var ce *fault.ConfigError
		if err != nil && !errors.As(err, &ce) {
			t.Errorf("error of another type: %v", err)
		}
	})
}
