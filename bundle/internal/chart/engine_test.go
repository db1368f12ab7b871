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
	all, err := c.lenient().render(p.chart, top, mode{checks: o.Strict, fresh: true}, func(string) {})
	if err != nil {
		return nil, nil, err
	}
	text, random = map[string]string{}, map[string]bool{}
	for name, r := range all.byName {
		text[name], random[name] = r.text, r.again
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
			if c.library() {
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

// Ways in which templates pass values on, change them, or find out about them, each
// rendered with values that change one after the other.
func TestLenientFollowsValues(t *testing.T) {
	helpers := `
{{ define "image" }}{{ .registry }}/{{ .name }}{{ end }}
{{ define "deep" }}{{ include "image" .ctx.Values.image }}{{ end }}
{{ define "all" }}{{ toYaml . }}{{ end }}
{{ define "self" }}{{ .Values.image.registry }}{{ end }}`
	for name, text := range map[string]string{
		"field":            `{{ .Values.image.registry }}`,
		"root":             `{{ range $k, $v := .Values.list }}{{ $.Values.image.name }}{{ $v }}{{ end }}`,
		"variable":         `{{ $i := .Values.image }}{{ $i.registry }}`,
		"reassigned":       `{{ $i := .Values.other }}{{ if .Values.on }}{{ $i = .Values.image }}{{ end }}{{ $i.registry }}`,
		"with":             `{{ with .Values.image }}{{ .registry }}{{ else with .Values.other }}{{ .registry }}{{ end }}`,
		"else if":          `{{ if .Values.on }}a{{ else if .Values.other.registry }}b{{ else }}c{{ end }}`,
		"include":          `{{ include "image" .Values.image }}`,
		"template":         `{{ template "image" .Values.image }}`,
		"dict":             `{{ include "deep" (dict "ctx" .) }}`,
		"dict printed":     `{{ include "all" (dict "a" .Values.image) }}`,
		"list":             `{{ range list .Values.image .Values.other }}{{ .registry }}{{ end }}`,
		"range over map":   `{{ range $k, $v := .Values.image }}{{ $k }}{{ $v }}{{ end }}`,
		"default":          `{{ (default .Values.other .Values.image).registry }}{{ default .Values.other .Values.none | toYaml }}`,
		"ternary":          `{{ $x := ternary .Values.image .Values.other .Values.on }}{{ $x.registry }}`,
		"coalesce":         `{{ with coalesce .Values.none .Values.image }}{{ .name }}{{ end }}`,
		"and or":           `{{ with and .Values.on .Values.image }}{{ .name }}{{ end }}{{ (or .Values.none .Values.other).registry }}`,
		"piped":            `{{ .Values.image | toYaml | sha256sum }}`,
		"piped to default": `{{ .Values.none | default .Values.image | toJson }}`,
		"get":              `{{ get .Values.image "registry" }}{{ get .Values "none" }}`,
		"index":            `{{ index .Values "image" "registry" }}{{ index .Values.list 0 }}`,
		"index by value":   `{{ index .Values .Values.which "registry" }}`,
		"hasKey":           `{{ hasKey .Values "none" }}{{ hasKey .Values.image "tag" }}`,
		"dig":              `{{ dig "image" "registry" "none" (.Values | merge (dict)) }}`,
		"keys":             `{{ keys .Values.image | sortAlpha | join "," }}{{ len .Values.image }}`,
		"parentheses":      `{{ ((.Values.none).a) }}{{ ((.Values.image).registry) }}`,
		"tpl":              `{{ tpl .Values.text . }}`,
		"tpl defines":      `{{ tpl "{{ define \"x\" }}{{ .Values.image.name }}{{ end }}{{ include \"x\" . }}" . }}`,
		"dot":              `{{ toYaml .Values }}`,
		"everything":       `{{ $x := dict "v" $ }}{{ toYaml $x.v.Values.image }}`,
		"method":           `{{ .Values.YAML }}`,
		"subchart":         `{{ .Subcharts.sub.Values.image.registry }}{{ .Values.sub.image.name }}`,
		"printed map":      `{{ .Values.image }}{{ printf "%v" .Values.other }}`,
		"empty":            `{{ if .Values.image }}a{{ end }}{{ empty .Values.other }}{{ kindOf .Values.image }}`,
		"files":            `{{ .Files.Get "f" }}{{ tpl (.Files.Get "f") . }}`,
		"chart":            `{{ .Chart.Name }}{{ .Chart.AppVersion }}{{ len .Chart.Dependencies }}`,
		"set and read":     `{{ $_ := set .Values "image" (dict "registry" "set" "name" .Values.which) }}{{ include "self" . }}`,
		"set in a subtree": `{{ $_ := set .Values.image "registry" .Values.which }}`,
		"unset":            `{{ $_ := unset .Values.other "registry" }}{{ .Values.other }}`,
		"merge":            `{{ $m := merge (dict) .Values.image .Values.other }}{{ toJson $m }}`,
		"merge in place":   `{{ $m := mergeOverwrite .Values.image (dict "name" .Values.which) }}{{ $m.name }}`,
		"merge of merged":  `{{ $m := merge (dict) (dict "image" .Values.image) (dict "image" (dict "extra" .Values.which)) }}{{ $m.image.extra }}`,
		"set on the dot":   `{{ $_ := set . "mine" .Values.which }}{{ .mine }}`,
		"set on an item":   `{{ range .Values.maps }}{{ $_ := set . "seen" $.Values.which }}{{ end }}`,
		"loop of values":   `{{ $_ := set .Values "self" . }}{{ .Values.self.Values.image.name }}`,
	} {
		t.Run(name, func(t *testing.T) {
			c := open(t, files{
				"Chart.yaml": chartYAML("app", "dependencies: [{name: sub, version: '*', condition: on}]"),
				"values.yaml": "image: {registry: docker.io, name: app}\nother: {registry: quay.io}\nlist: [a, b]\nmaps: [{a: 1}]\n" +
					"on: true\nwhich: image\ntext: '{{ .Values.image.name }}'\nsub: {image: {name: below}}\nglobal: {image: {a: {b: c}}}\n",
				"f":                          "{{ .Values.image.registry }}",
				"templates/_h.tpl":           helpers,
				"templates/t.yaml":           text,
				"templates/a.yaml":           `{{ include "self" . }} {{ .mine }} {{ toYaml .Values.maps }} {{ .Values.other }} {{ .Values.image.name }}`, // executed after it
				"charts/sub/Chart.yaml":      chartYAML("sub"),
				"charts/sub/values.yaml":     "image: {registry: ghcr.io}\n",
				"charts/sub/templates/t.yml": `{{ .Values.image.registry }}{{ .Values.image.name }}{{ .Values.global.image.a.b }}`,
			})
			for _, sets := range []string{
				"", "image.registry=r1", "image.registry=r2", "", "image.name=n", "other.registry=o", "on=false", "on=false,image.name=n",
				"none.a=x", "none.registry=x", "which=other", "image=null", "image=text", "list={c}", `text=\{\{ .Values.which \}\}`, "text=plain",
				"image.tag=t", "sub.image.registry=s", "sub.image.name=s", "sub=null", "global.image.a.b=d", "sub.global.image.a.b=e", "maps[0].a=2", "",
			} {
				var given []string
				if sets != "" {
					given = []string{sets}
				}
				sameAsHelm(t, c, RenderOptions{Values: set(t, given...)})
			}
		})
	}
}

// A template that reads nothing that changed is not executed again.
func TestLenientExecutesWhatChanged(t *testing.T) {
	c := open(t, files{
		"values.yaml":      "a: {image: x}\nb: {image: y}\nc: 1\n",
		"templates/a.yaml": "a: {{ .Values.a.image }}",
		"templates/b.yaml": "b: {{ include \"b\" (dict \"root\" .) }}",
		"templates/r.yaml": "r: {{ randAlphaNum 8 }}",
		"templates/_h.tpl": `{{ define "b" }}{{ .root.Values.b.image }}{{ end }}`,
	})
	first := executed(t, c, "")
	for sets, want := range map[string]string{"": "r", "c=2": "r", "a.image=z": "a r", "b.image=z": "b r", "a.new=1": "r", "b.image=null": "b r"} {
		var got []string
		for name, r := range executed(t, c, sets) {
			if first[name] != r {
				got = append(got, strings.TrimSuffix(filepath.Base(name), ".yaml"))
			}
		}
		slices.Sort(got)
		if strings.Join(got, " ") != want {
			t.Errorf("%q: executed %v, want %s", sets, got, want)
		}
	}
}

func executed(t *testing.T, c *Chart, sets string) map[string]*rendering {
	t.Helper()
	o := RenderOptions{}
	if sets != "" {
		o.Values = set(t, sets)
	}
	caps, err := capabilities(o)
	if err != nil {
		t.Fatal(err)
	}
	p, top, err := c.lenient().process(c.helm, o, caps)
	if err != nil {
		t.Fatal(err)
	}
	all, err := c.lenient().render(p.chart, top, mode{fresh: true}, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	return all.byName
}
