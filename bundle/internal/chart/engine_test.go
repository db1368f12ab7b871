package chart

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	helm "helm.sh/helm/v3/pkg/chart"
	helmengine "helm.sh/helm/v3/pkg/engine"
)

// fixtures are the charts of the tests, and those in the folder that CHARTS names.
func fixtures(t testing.TB) []string {
	t.Helper()
	list, err := filepath.Glob("../../../testdata/charts/*")
	if err != nil || len(list) == 0 {
		t.Fatalf("no charts: %v", err)
	}
	if dir := os.Getenv("CHARTS"); dir != "" {
		more, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
		if err != nil || len(more) == 0 {
			t.Fatalf("no charts in %s: %v", dir, err)
		}
		list = append(list, more...)
	}
	return list
}

func fixture(t testing.TB, path string) *Chart {
	t.Helper()
	c, err := Load(t.Context(), Source{Ref: path}, LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// helmText renders as Helm's engine does, in lint mode unless strict.
func helmText(c *Chart, o RenderOptions) (map[string]string, error) {
	h := clone(c.helm)
	caps, err := capabilities(o)
	if err != nil {
		return nil, err
	}
	top, err := renderValues(h, o, caps)
	if err != nil {
		return nil, err
	}
	if !o.Strict {
		dropNotes(h)
	}
	return helmengine.Engine{LintMode: !o.Strict}.Render(h, top)
}

func dropNotes(h *helm.Chart) {
	h.Templates = slices.DeleteFunc(slices.Clone(h.Templates), func(f *helm.File) bool {
		return strings.HasSuffix(f.Name, notesSuffix)
	})
	for _, dep := range h.Dependencies() {
		dropNotes(dep)
	}
}

// ownText renders by the engine for probes; random says which templates gave text
// that is another one each time.
func ownText(c *Chart, o RenderOptions) (text map[string]string, random map[string]bool, err error) {
	caps, err := capabilities(o)
	if err != nil {
		return nil, nil, err
	}
	p, top, err := c.lenient().process(c.helm, o, caps)
	if err != nil {
		return nil, nil, err
	}
	names, list, err := c.lenient().render(p.chart, top, mode{checks: o.Strict})
	if err != nil {
		return nil, nil, err
	}
	text, random = map[string]string{}, map[string]bool{}
	for i, name := range names {
		text[name], random[name] = list[i].text, list[i].looks == nil
	}
	return text, random, nil
}

// wild makes overrides at random: texts, switches, nothing, and what was chosen
// before.
type wild struct {
	*rand.Rand
	leaves [][]string
	values []any
}

func newWild(t *testing.T, c *Chart, seed uint64) *wild {
	t.Helper()
	base, err := c.Coalesced(nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &wild{Rand: rand.New(rand.NewPCG(seed, 1))}
	var walk func(path []string, v any)
	walk = func(path []string, v any) {
		m, ok := v.(map[string]any)
		if len(path) > 0 {
			w.leaves, w.values = append(w.leaves, path), append(w.values, v)
		}
		if !ok {
			return
		}
		for _, k := range slices.Sorted(maps.Keys(m)) {
			walk(append(slices.Clip(path), k), m[k])
		}
	}
	walk(nil, base)
	return w
}

func (w *wild) overrides() map[string]any {
	o := map[string]any{}
	for range 1 + w.IntN(4) {
		if len(w.leaves) == 0 {
			break
		}
		i := w.IntN(len(w.leaves))
		var value any
		switch was := w.values[i].(type) {
		case bool:
			value = !was
		case map[string]any:
			value = map[string]any{"added": "zs1z.probe.io/x"}
		case []any:
			value = append(slices.Clone(was), was...)
		case float64, int64:
			value = int64(w.IntN(5))
		default:
			value = fmt.Sprintf("zs%dz.probe.io:5000/a", w.IntN(3))
		}
		if w.IntN(8) == 0 {
			value = nil
		}
		at := o
		path := w.leaves[i]
		for _, step := range path[:len(path)-1] {
			next, ok := at[step].(map[string]any)
			if !ok {
				next = map[string]any{}
				at[step] = next
			}
			at = next
		}
		at[path[len(path)-1]] = value
	}
	return o
}

// The engine for probes gives what Helm's engine gives, whatever it keeps from the
// renders before.
func TestLenientIsHelm(t *testing.T) {
	for _, path := range fixtures(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			c := fixture(t, path)
			if c.Library() {
				return
			}
			w := newWild(t, c, 7)
			var seen []map[string]any
			for i := range 12 {
				o := RenderOptions{Strict: i%3 == 2}
				switch {
				case i == 0:
				case i%5 == 0:
					o.Values = seen[w.IntN(len(seen))]
				default:
					o.Values = w.overrides()
				}
				seen = append(seen, o.Values)
				sameAsHelm(t, c, o)
			}
		})
	}
}

func sameAsHelm(t *testing.T, c *Chart, o RenderOptions) {
	t.Helper()
	want, wantErr := helmText(c, o)
	got, random, err := ownText(c, o)
	if wantErr != nil || err != nil {
		if fmt.Sprint(wantErr) != fmt.Sprint(err) {
			t.Errorf("%v:\nerror %v\nwant  %v", o.Values, err, wantErr)
		}
		return
	}
	if a, b := slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got)); !slices.Equal(a, b) {
		t.Errorf("%v: templates %v, want %v", o.Values, b, a)
	}
	for name, text := range want {
		if !random[name] && got[name] != text {
			t.Errorf("%v: %s:\n%s", o.Values, name, firstDifference(got[name], text))
		}
	}
}

func firstDifference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range a {
		if i >= len(b) || a[i] != b[i] {
			return fmt.Sprintf("line %d: %q, want %q", i+1, a[i], slices.Concat(b, []string{"(end)"})[min(i, len(b))])
		}
	}
	return "it ends too early"
}
