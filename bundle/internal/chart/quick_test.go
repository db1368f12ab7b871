package chart

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	helmengine "helm.sh/helm/v3/pkg/engine"
)

// What an upgrade alone shows is rendered by Helm with the templates that it needs, and
// gives what a render of the whole chart gives.
func TestUpgradeAlone(t *testing.T) {
	const other, partial = "templates/other.yaml", "templates/_other.tpl"
	for name, tc := range map[string]struct {
		files files
		need  []string
	}{
		"nothing else":   {files{"templates/t.yaml": `{{ if .Release.IsUpgrade }}a: {{ .Values.v }}{{ end }}`}, []string{"app/templates/t.yaml"}},
		"through a name": {files{"templates/t.yaml": `{{ if .Release.IsUpgrade }}a: {{ include (printf "%s.x" .Values.v) . }}{{ end }}`, "templates/_h.tpl": `{{ define "one.x" }}{{ template "y" }}{{ end }}`, "templates/y.yaml": `{{ define "y" }}text{{ end }}`}, []string{"app/templates/_h.tpl", "app/templates/t.yaml", "app/templates/y.yaml"}},
		"by its file":    {files{"templates/t.yaml": `{{ if .Release.IsUpgrade }}a: {{ include (print .Template.BasePath "/c.yaml") . | sha256sum }}{{ end }}`, "templates/c.yaml": `c: {{ .Values.v }}`}, []string{"app/templates/c.yaml", "app/templates/t.yaml"}},
		"in tpl":         {files{"values.yaml": `v: '{{ include "h" . }}'`, "templates/t.yaml": `{{ if .Release.IsUpgrade }}a: {{ tpl .Values.v . }}{{ end }}`, "templates/_h.tpl": `{{ define "h" }}text{{ end }}`}, []string{"app/templates/_h.tpl", "app/templates/t.yaml"}},
		"what others write": {files{
			"templates/a.yaml": `{{ if .Release.IsUpgrade }}a: {{ .Values.v }}{{ end }}`,
			"templates/z.yaml": `{{ $_ := set .Values "v" "changed" }}{{ template "w" . }}`, "templates/w.yaml": `{{ define "w" }}{{ end }}`,
		}, []string{"app/templates/a.yaml", "app/templates/w.yaml", "app/templates/z.yaml"}},
		"in a subchart": {files{"charts/sub/Chart.yaml": chartYAML("sub"), "charts/sub/templates/t.yaml": `{{ if .Release.IsUpgrade }}a: {{ include "h" . }}{{ end }}`, "templates/_h.tpl": `{{ define "h" }}text{{ end }}`}, []string{"app/charts/sub/templates/t.yaml", "app/templates/_h.tpl"}},
	} {
		t.Run(name, func(t *testing.T) {
			all := files{"Chart.yaml": chartYAML("app"), "values.yaml": "v: one\n", other: "o: {{ .Values.v }}", partial: `{{ define "other" }}{{ end }}`}
			maps.Copy(all, tc.files)
			c := open(t, all)
			o := RenderOptions{}
			caps, err := capabilities(o)
			if err != nil {
				t.Fatal(err)
			}
			e, begins, x := c.lenient(), func(string) {}, occasion{upgrade: true}
			p, top, err := e.process(c.helm, o, caps)
			if err != nil {
				t.Fatal(err)
			}
			base, err := e.render(p.chart, top, mode{}, begins)
			if err != nil {
				t.Fatal(err)
			}
			if _, top, err = e.process(c.helm, o, caps); err != nil {
				t.Fatal(err)
			}
			found := e.occasion(p.chart, x.top(top, caps), mode{}, base, begins)
			maps.Copy(found.writers, base.writers)
			need := e.needed(found)
			maps.DeleteFunc(need, func(_ string, is bool) bool { return !is })
			if got := slices.Sorted(maps.Keys(need)); !slices.Equal(got, tc.need) {
				t.Errorf("it needs %q, want %q", got, tc.need)
			}
			if _, top, err = e.process(c.helm, o, caps); err != nil {
				t.Fatal(err)
			}
			alone, err := helmengine.Engine{}.Render(only(p.chart, need), x.top(top, caps))
			if err != nil {
				t.Fatal(err)
			}
			h := clone(c.helm)
			if top, err = renderValues(h, o, caps); err != nil {
				t.Fatal(err)
			}
			whole, err := helmengine.Engine{}.Render(h, x.top(top, caps))
			if err != nil {
				t.Fatal(err)
			}
			if len(found.byName) == 0 {
				t.Fatal("an upgrade shows nothing")
			}
			for name := range found.byName {
				if alone[name] == "" || alone[name] != whole[name] {
					t.Errorf("%s is\n%s\nnot\n%s", name, alone[name], whole[name])
				}
			}
		})
	}
}

// Renders that may repeat what was random do, also after others that may not.
func TestSameRandom(t *testing.T) {
	c := open(t, files{"Chart.yaml": chartYAML("app"), "values.yaml": "v: one\n", "templates/t.yaml": "a: {{ randAlphaNum 20 }}", "templates/u.yaml": "b: {{ .Values.v }}-{{ randAlphaNum 20 }}"})
	texts := func(o RenderOptions) map[Position]string { return render(t, c, o).Leaves() }
	first := texts(RenderOptions{SameRandom: true})
	for range 2 {
		if diff := cmp.Diff(first, texts(RenderOptions{SameRandom: true})); diff != "" {
			t.Errorf("the same values give another text: %s", diff)
		}
		for at, text := range texts(RenderOptions{}) {
			if text == first[at] {
				t.Errorf("%s is %s again", at, text)
			}
		}
	}
	same := 0
	for at, text := range texts(RenderOptions{SameRandom: true, Values: map[string]any{"v": "two"}}) {
		if text == first[at] {
			same++
		}
	}
	if same != 1 {
		t.Errorf("another value leaves %d of two texts the same, not the one that does not read it", same)
	}
}

// Checks refuse what a strict render refuses, in the same words, and render nothing.
func TestChecks(t *testing.T) {
	for name, tc := range map[string]struct {
		chart, schema, template string
		refused                 bool
	}{
		"accepted":     {template: "a: {{ required `no` .Values.v }}"},
		"fail":         {template: `{{ if eq .Values.v "one" }}{{ fail "not one" }}{{ end }}`, refused: true},
		"required":     {template: `a: {{ required "w is wanted" .Values.w }}`, refused: true},
		"schema":       {template: "a: b", schema: `{"properties": {"v": {"enum": ["two"]}}}`, refused: true},
		"Kubernetes":   {template: "a: b", chart: "kubeVersion: '>=9.0'\n", refused: true},
		"dependencies": {template: "a: b", chart: "dependencies: [{name: lacks, version: 1.0.0, repository: 'https://example.com'}]\n", refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			f := files{"Chart.yaml": chartYAML("app") + tc.chart, "values.yaml": "v: one\n", "templates/t.yaml": tc.template}
			if tc.schema != "" {
				f["values.schema.json"] = tc.schema
			}
			c := open(t, f)
			_, want := c.Render(t.Context(), RenderOptions{Strict: true})
			out, err := c.Render(t.Context(), RenderOptions{Checks: true})
			if (err != nil) != tc.refused || (want != nil) != tc.refused || err != nil && err.Error() != want.Error() {
				t.Fatalf("refused with %v, strictly with %v", err, want)
			}
			if err == nil && len(out.Manifests) > 0 {
				t.Errorf("it rendered %d manifests", len(out.Manifests))
			}
		})
	}
}

// What fromYaml returns belongs to the template that called it.
func TestFromYamlTwice(t *testing.T) {
	const template = `{{ $a := fromYaml "x: {k: 1}" }}{{ $_ := set $a.x "k" 2 }}{{ $b := fromYaml "x: {k: 1}" }}a: {{ $a.x.k }}{{ $b.x.k }}`
	c := open(t, files{"Chart.yaml": chartYAML("app"), "values.yaml": "", "templates/t.yaml": template, "templates/u.yaml": template})
	for _, m := range render(t, c, RenderOptions{}).Manifests {
		if m.Raw != "a: 21" {
			t.Errorf("%s is %s", m.Template, m.Raw)
		}
	}
}
