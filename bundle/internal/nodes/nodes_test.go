package nodes

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

var update = flag.Bool("update", false, "write what is there now")

func below(prefix string) func(string) (string, bool) {
	return func(string) (string, bool) { return prefix, true }
}

func nowhere(string) (string, bool) { return "", false }

// Where nodes look for a repository is where it is, by the longest rule that fits.
func TestLook(t *testing.T) {
	for _, tc := range []struct {
		name               string
		prefix             func(string) (string, bool)
		moves              []Move
		path               string
		containerd, others string // empty: nowhere
	}{
		{"the prefix leads there", below("apps"), []Move{{"a.io", "x/y", "apps/x/y"}}, "x/y", "apps/x/y", "apps/x/y"},
		{"no prefix", below(""), []Move{{"a.io", "x/y", "x/y"}}, "x/y", "x/y", "x/y"},
		{"another path", below("apps"), []Move{{"a.io", "x/y", "apps/web"}}, "x/y", "apps/x/y", "apps/web"},
		{"below another path", below("apps"), []Move{{"a.io", "x", "apps/web"}, {"a.io", "x/y", "apps/x/y"}}, "x/y", "apps/x/y", "apps/x/y"},
		{"begins like another path", below("apps"), []Move{{"a.io", "x", "apps/web"}, {"a.io", "xy", "apps/xy"}}, "xy", "apps/xy", "apps/xy"},
		{"in two places", below("apps"), []Move{{"a.io", "x", "apps/web"}, {"a.io", "x", "apps/x"}}, "x", "apps/x", "apps/x"},
		{"flat", nowhere, []Move{{"a.io", "x/y", "apps/a.io--x--y"}}, "x/y", "", "apps/a.io--x--y"},
		{"unknown", below("apps"), []Move{{"a.io", "x", "apps/x"}}, "z", "apps/z", ""},
		{"of the registry itself", below("apps"), []Move{{"reg:5000", "x", "x"}}, "x", "", ""},
	} {
		c := New(Registry{Host: "reg:5000"}, tc.prefix, tc.moves)
		host := tc.moves[0].Host
		if got, ok := c.Containerd(host, tc.path); got != tc.containerd || ok != (got != "") {
			t.Errorf("%s: containerd looks in %q, %v", tc.name, got, ok)
		}
		if got, ok := c.Others(host, tc.path); got != tc.others || ok != (got != "") {
			t.Errorf("%s: the others look in %q, %v", tc.name, got, ok)
		}
	}
}

// Of the rewrites of one host, one alone fits any name: k3s tries them in no order.
func TestRewritesAreApart(t *testing.T) {
	c := New(Registry{Host: "reg:5000"}, below("apps"), []Move{{"a.io", "x", "apps/web"}, {"a.io", "x/y.z", "apps/x/y.z"}, {"a.io", "x/yaz", "apps/x/yaz"}})
	rules := c.hosts[0].rewrites()
	if len(rules) != 3 || rules[1] != (rule{`^x/y\.z$`, "apps/x/y.z"}) {
		t.Errorf("%q", rules)
	}
}

// The files, as a whole, for registries of several kinds.
func TestFiles(t *testing.T) {
	ca := []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
	moves := []Move{
		{"docker.io", "library/web", "apps/library/web"}, {"docker.io", "library/web", "apps/web"},
		{"ghcr.io", "acme/app", "apps/web/front"}, {"ghcr.io", "acme/app/sub", "apps/acme/app/sub"}, {"old.local:5000", "x", "apps/x"},
	}
	for name, c := range map[string]*Config{
		"ca":    New(Registry{Host: "registry.plant.local:5000", CA: ca}, below("apps"), moves),
		"plain": New(Registry{Host: "10.0.0.7:5000", Plain: true}, below("apps"), moves),
		"flat":  New(Registry{Host: "registry.plant.local", Insecure: true}, nowhere, []Move{{"ghcr.io", "acme/app", "ghcr.io--acme--app"}}),
		"asked": New(Registry{Host: "10.0.0.7:5000", CA: ca, Asked: true}, func(h string) (string, bool) { return strings.ReplaceAll(h, ":", "-"), true }, []Move{{"ghcr.io", "acme/app", "ghcr.io/acme/app"}}),
		"none":  New(Registry{Host: "registry.plant.local", CA: ca}, below("apps"), nil),
	} {
		var b bytes.Buffer
		for _, f := range c.Files() {
			b.WriteString("==> " + f.Path + " <==\n" + string(f.Content) + "\n")
			if strings.HasSuffix(f.Path, ".yaml") {
				var v map[string]any
				if err := yaml.Unmarshal(f.Content, &v); err != nil {
					t.Errorf("%s: %s: %v", name, f.Path, err)
				}
			}
		}
		file := filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(want, b.Bytes()) {
			t.Errorf("%s: %v\n%s", name, err, b.Bytes())
		}
	}
}
