package relocate

import (
	stdcmp "cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"bundle/bundle/internal/chart"
	"bundle/testdata/judge"
)

// The real Helm renders every fixture with the values that were derived, and every
// reference reads there what the result says: its target where it moved, and what it
// was where it is left. Unless it is reported, no object and no container came or went.
func TestHelmAgrees(t *testing.T) {
	for _, g := range goldens(t) {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			req := g.request(t)
			res, err := Derive(t.Context(), req)
			if err != nil {
				if _, err := helmTemplate(t, g, nil); err == nil {
					t.Error("helm renders what Derive does not")
				}
				return
			}
			after, err := helmTemplate(t, g, FormatYAML(res, []string{"derived"}))
			if err != nil {
				t.Fatal(err)
			}
			after = after.Like(res.Before)
			for _, m := range res.Moved {
				if got, _ := after.Lookup(m.Position); got != m.Target {
					t.Errorf("%s reads %q, want %q", m.Position, got, m.Target)
				}
			}
			for _, l := range res.Left {
				if got, _ := after.Lookup(l.Position); got != l.Reads {
					t.Errorf("%s reads %q, which is said to read %q", l.Position, got, l.Reads)
				}
			}
			known := pinned(res) + len(res.Left)
			if found := len(after.Findings()); found < known && g.named == nil {
				t.Errorf("%d references in what helm renders, %d reported", found, known)
			}
			if len(res.Altered) == 0 && req.Chart.Deterministic(nil) {
				checkStructure(t, res.Before, after)
			}
		})
	}
}

// checkStructure compares the objects and containers of two renders.
func checkStructure(t *testing.T, before, after *chart.Output) {
	t.Helper()
	list := func(o *chart.Output) string {
		var all []string
		for i := range o.Manifests {
			all = append(all, o.Manifests[i].ID.String())
		}
		for _, p := range o.Pods() {
			all = append(all, fmt.Sprintf("%s: %d images", p.Position, len(p.Images)))
		}
		slices.Sort(all) // Helm orders objects by their kind
		return strings.Join(all, "\n")
	}
	if diff := cmp.Diff(list(before), list(after)); diff != "" {
		t.Errorf("helm renders other objects with the values (-without +with):\n%s", diff)
	}
}

// helmTemplate renders a fixture by the real Helm, as on a machine without network.
func helmTemplate(t *testing.T, g golden, values []byte) (*chart.Output, error) {
	t.Helper()
	dir := t.TempDir()
	args := []string{"template", "demo", filepath.Join(chartsDir, g.chart), "--kube-version", stdcmp.Or(g.kube, chart.DefaultKubeVersion)}
	given, err := yaml.Marshal(g.values)
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range [][]byte{given, values} {
		if name := filepath.Join(dir, string(rune('a'+i))+".yaml"); len(b) > 0 {
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
			args = append(args, "-f", name)
		}
	}
	out, err := judge.Ask(t, "helms3", args...)
	if err != nil {
		return nil, &chart.RenderError{Chart: g.chart, Message: err.Error(), Err: err}
	}
	texts := map[string]string{}
	for _, doc := range strings.Split("\n"+out, "\n---\n# Source: ")[1:] {
		name, text, _ := strings.Cut(doc, "\n")
		texts[name] += "---\n" + text + "\n"
	}
	return chart.ReadManifests(texts), nil
}
