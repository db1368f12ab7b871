package chart

import (
	"bytes"
	"context"
	"errors"
	"log"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// leafOf renders a chart whose template is "v: EXPR" and returns v.
func leafOf(t *testing.T, expr string, f files, o RenderOptions) string {
	t.Helper()
	all := files{"templates/t.yaml": "v: " + expr}
	for k, v := range f {
		all[k] = v
	}
	v, _ := inTemplate(render(t, open(t, all), o), "", "v")
	return v
}

func TestRenderSurroundings(t *testing.T) {
	t.Setenv("CHART_TEST_ENV", "visible")
	tests := []struct {
		name, expr, want string
		o                RenderOptions
	}{
		{name: "default Kubernetes", expr: "{{ .Capabilities.KubeVersion.Version }}", want: DefaultKubeVersion},
		{name: "given Kubernetes", expr: "{{ .Capabilities.KubeVersion.Minor }}", want: "29", o: RenderOptions{KubeVersion: "1.29"}},
		{name: "known API", expr: `{{ .Capabilities.APIVersions.Has "batch/v1" }}`, want: "true"},
		{name: "unknown API", expr: `{{ .Capabilities.APIVersions.Has "x.example.com/v1" }}`, want: "false"},
		{name: "given API", expr: `{{ .Capabilities.APIVersions.Has "x.example.com/v1" }}`, want: "true", o: RenderOptions{APIVersions: []string{"x.example.com/v1"}}},
		{name: "release", expr: "{{ .Release.Name }}/{{ .Release.Namespace }}/{{ .Release.IsInstall }}", want: "release-name/default/true"},
		{name: "given release", expr: "{{ .Release.Name }}/{{ .Release.Namespace }}", want: "r/n", o: RenderOptions{ReleaseName: "r", Namespace: "n"}},
		{name: "lookup finds nothing", expr: `{{ lookup "v1" "Secret" "default" "x" | len }}`, want: "0"},
		{name: "names are not resolved", expr: `{{ getHostByName "localhost" | quote }}`, want: ""},
		{name: "files of the chart alone", expr: `{{ .Files.Get "/etc/passwd" | len }}/{{ .Files.Get "../../../../../../../../etc/passwd" | len }}/{{ len (.Files.Glob "/etc/*") }}`, want: "0/0/0"},
		{name: "null deletes a default", expr: `{{ hasKey .Values "a" }}`, want: "false", o: RenderOptions{Values: map[string]any{"a": nil}}},
		{name: "lenient required", expr: `{{ required "a needed" .Values.none | quote }}`, want: ""},
		{name: "lenient fail", expr: `{{ fail "no" }}x`, want: "x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := leafOf(t, tt.expr, files{"values.yaml": "a: 1\n"}, tt.o); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	for _, expr := range []string{`{{ env "CHART_TEST_ENV" }}`, `{{ expandenv "$CHART_TEST_ENV" }}`, `{{ tpl "{{ env \"CHART_TEST_ENV\" }}" . }}`} {
		c := open(t, files{"templates/t.yaml": "v: " + expr})
		if _, err := c.Render(context.Background(), RenderOptions{}); err == nil {
			t.Errorf("%s: templates can read the environment", expr)
		}
	}
}

func TestRenderErrors(t *testing.T) {
	base := files{"values.yaml": "a: {b: 1}\n"}
	tests := []struct {
		name     string
		files    files
		o        RenderOptions
		template string
		line     int
		message  string // part of it
		value    string
	}{
		{
			name: "required", files: files{"templates/t.yaml": "v: 1\nw: {{ required \"set .Values.main.host please\" .Values.x }}"}, o: RenderOptions{Strict: true},
			template: "app/templates/t.yaml", line: 2, message: "set .Values.main.host please", value: "main.host",
		},
		{
			name: "prose in a subchart", o: RenderOptions{Strict: true},
			files: files{
				"charts/sub/Chart.yaml": chartYAML("sub"), "charts/sub/values.yaml": "auth: {}\n",
				"charts/sub/templates/t.yaml": `{{ fail "see docs.example.com: set auth.password (or a.b)." }}`,
			},
			template: "app/charts/sub/templates/t.yaml", line: 1, message: "set auth.password", value: "sub.auth.password",
		},
		{
			name: "prose", files: files{"templates/t.yaml": `{{ fail "Please define a.bucket.name" }}`}, o: RenderOptions{Strict: true},
			template: "app/templates/t.yaml", line: 1, message: "Please define", value: "a.bucket.name",
		},
		{
			name: "fail in an included template",
			files: files{
				"templates/t.yaml": `v: {{ include "check" . }}`, "templates/_h.tpl": "{{ define \"check\" }}\n{{ fail \"not this way\" }}{{ end }}",
			}, o: RenderOptions{Strict: true},
			template: "app/templates/t.yaml", line: 1, message: "not this way",
		},
		{
			name: "nil pointer", files: files{"templates/t.yaml": "v: {{ .Values.a.c.d }}"},
			template: "app/templates/t.yaml", line: 1, message: ".Values.a.c is not set", value: "a.c",
		},
		{
			name: "nil pointer in an included template",
			files: files{
				"templates/t.yaml": `v: {{ include "deep" . }}`, "templates/_h.tpl": "{{ define \"deep\" }}{{ .Values.x.y }}{{ end }}",
			},
			template: "app/templates/_h.tpl", line: 1, message: ".Values.x is not set", value: "x",
		},
		{name: "syntax", files: files{"templates/t.yaml": "v: {{ if }}"}, template: "app/templates/t.yaml", line: 1, message: "missing value for if"},
		{name: "no YAML", files: files{"templates/t.yaml": "v: [1"}, o: RenderOptions{Strict: true}, template: "app/templates/t.yaml", message: "no YAML"},
		{
			name: "schema", o: RenderOptions{Strict: true, Values: map[string]any{"a": "text"}},
			files:   files{"values.schema.json": `{"$schema": "https://json-schema.org/draft/2020-12/schema", "properties": {"a": {"type": "object"}}}`},
			message: "schema: app: at '/a': got string, want object",
		},
		{
			name: "kubeVersion", o: RenderOptions{Strict: true, KubeVersion: "v1.20.0"},
			files: files{"Chart.yaml": chartYAML("app", "kubeVersion: '>=1.25.0'")}, message: "wants Kubernetes >=1.25.0, not v1.20.0",
		},
		{name: "malformed Kubernetes version", o: RenderOptions{KubeVersion: "new"}, message: `kubernetes version "new"`},
		{name: "NOTES.txt counts", files: files{"templates/NOTES.txt": `{{ fail "unverified images" }}`}, o: RenderOptions{Strict: true}, template: "app/templates/NOTES.txt", line: 1, message: "unverified images"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := files{}
			for _, from := range []files{base, tt.files} {
				for k, v := range from {
					f[k] = v
				}
			}
			_, err := open(t, f).Render(context.Background(), tt.o)
			var e *RenderError
			if !errors.As(err, &e) {
				t.Fatalf("error is %v", err)
			}
			if e.Template != tt.template || e.Line != tt.line || e.Value != tt.value || !strings.Contains(e.Message, tt.message) {
				t.Errorf("got %+v\nwant template %s, line %d, value %s, message with %q", *e, tt.template, tt.line, tt.value, tt.message)
			}
		})
	}
}

// What only strict rendering refuses.
func TestLenient(t *testing.T) {
	c := open(t, files{
		"Chart.yaml":          chartYAML("app", "kubeVersion: '>=99.0.0'", "dependencies: [{name: gone, version: 1.0.0}]"),
		"values.schema.json":  `{"type": "object", "required": ["x"]}`,
		"templates/NOTES.txt": `{{ .Values.none.at.all }}`,
		"templates/t.yaml":    "image: a/b:1",
		"templates/bad.yaml":  "a: [quay.io/org/app:1",
	})
	out := render(t, c, RenderOptions{})
	want := []string{"quay.io/org/app:1", "a/b:1"} // what is no YAML is searched as text
	var got []string
	for _, f := range out.Findings() {
		got = append(got, f.Raw)
		if now, ok := out.Lookup(f.Position); !ok || now != f.Raw {
			t.Errorf("Lookup(%s) = %q, %v", f.Position, now, ok)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func umbrella(t *testing.T) *Chart {
	return open(t, files{
		"Chart.yaml": chartYAML("app", `dependencies:
- {name: db, version: 1.x, condition: db.enabled}
- {name: db, version: 1.x, alias: cache, tags: [extra]}
- {name: lib, version: "*", import-values: [{child: defaults, parent: imported}]}`),
		"values.yaml":                   "global: {registry: docker.io}\ndb: {enabled: true}\ntags: {extra: true}\n",
		"templates/t.yaml":              "v: {{ .Values.imported.image }}",
		"charts/db/Chart.yaml":          chartYAML("db", "annotations: {images: '[{image: org/db:1}]'}"),
		"charts/db/values.yaml":         "name: db\n",
		"charts/db/templates/t.yaml":    "kind: DB\nimage: {{ .Values.global.registry }}/{{ .Values.name }}:1",
		"charts/lib/Chart.yaml":         chartYAML("lib", "type: library"),
		"charts/lib/values.yaml":        "defaults: {image: org/lib:1}\n",
		"charts/lib/templates/_l.tpl":   `{{ define "lib" }}x{{ end }}`,
		"charts/lib/templates/bad.yaml": "image: never/rendered:1",
	})
}

func raws(o *Output) []string {
	var all []string
	for _, f := range o.Findings() {
		all = append(all, f.Raw)
	}
	return all
}

func TestSubcharts(t *testing.T) {
	c := umbrella(t)
	tests := []struct {
		set       []string
		want      []string
		annotated []string
	}{
		{want: []string{"docker.io/db:1", "docker.io/db:1"}, annotated: []string{"org/db:1"}},
		{set: []string{"db.enabled=false"}, want: []string{"docker.io/db:1"}, annotated: []string{"org/db:1"}},
		{set: []string{"db.enabled=false", "tags.extra=false"}, annotated: []string{}},
		{set: []string{"cache.name=c", "global.registry=r.example.com"}, want: []string{"r.example.com/c:1", "r.example.com/db:1"}, annotated: []string{"org/db:1"}},
	}
	for _, tt := range tests {
		out := render(t, c, RenderOptions{Values: set(t, tt.set...), Strict: true})
		if d := cmp.Diff(tt.want, raws(out)); d != "" {
			t.Errorf("%v: findings (-want +got):\n%s", tt.set, d)
		}
		if d := cmp.Diff(tt.annotated, out.AnnotatedImages()); d != "" {
			t.Errorf("%v: annotated images (-want +got):\n%s", tt.set, d)
		}
		if v, _ := inTemplate(out, "", "v"); v != "org/lib:1" {
			t.Errorf("%v: imported value is %q", tt.set, v)
		}
	}
	if d := cmp.Diff([]string{"org/db:1"}, c.AnnotatedImages()); d != "" {
		t.Errorf("annotated images (-want +got):\n%s", d)
	}
}

func TestTemplates(t *testing.T) {
	type row struct {
		name, path string
		library    bool
	}
	var got []row
	for _, f := range umbrella(t).Templates() {
		got = append(got, row{f.Name, f.Path, f.Library})
	}
	want := []row{
		{"app/templates/t.yaml", "", false},
		{"app/charts/db/templates/t.yaml", "db", false},
		{"app/charts/cache/templates/t.yaml", "cache", false},
		{"app/charts/lib/templates/_l.tpl", "lib", true},
		{"app/charts/lib/templates/bad.yaml", "lib", true},
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(row{})); d != "" {
		t.Errorf("templates (-want +got):\n%s", d)
	}
}

func TestCoalesced(t *testing.T) {
	got, err := umbrella(t).Coalesced(set(t, "cache.name=c", "db.enabled=false", "extra=1"))
	if err != nil {
		t.Fatal(err)
	}
	registry := map[string]any{"registry": "docker.io"}
	want := map[string]any{
		"global": registry, "tags": map[string]any{"extra": true}, "extra": int64(1),
		"db":       map[string]any{"enabled": false},
		"cache":    map[string]any{"name": "c", "global": registry},
		"lib":      map[string]any{"global": registry, "defaults": map[string]any{"image": "org/lib:1"}},
		"imported": map[string]any{"image": "org/lib:1"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("values (-want +got):\n%s", d)
	}
}

func TestLibraryChart(t *testing.T) {
	c := open(t, files{"Chart.yaml": chartYAML("app", "type: library"), "templates/_l.tpl": ""})
	if _, err := c.Render(context.Background(), RenderOptions{}); !errors.Is(err, ErrLibrary) {
		t.Errorf("error is %v", err)
	}
	if !c.library() {
		t.Error("the chart does not know that it is a library")
	}
}

func TestMissingDependency(t *testing.T) {
	c := open(t, files{"Chart.yaml": chartYAML("app", "dependencies: [{name: gone, version: 1.0.0, condition: off, repository: https://r.example.com}]")})
	_, err := c.Render(context.Background(), RenderOptions{Strict: true})
	var e *DependencyError
	if !errors.As(err, &e) || len(e.Missing) != 1 || e.Missing[0].Name != "gone" || e.Missing[0].Repository != "https://r.example.com" {
		t.Errorf("error is %v", err)
	}
}

// Renders share a chart and its options without changing either.
func TestRenderIsPure(t *testing.T) {
	c := umbrella(t)
	values := set(t, "db.name=x", "global.registry=r.example.com", "list={a,b}")
	before := copyMap(values)
	want := raws(render(t, c, RenderOptions{Values: values}))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				out, err := c.Render(context.Background(), RenderOptions{Values: values, Strict: true, StubKeys: true})
				if err != nil {
					t.Error(err)
					return
				}
				if d := cmp.Diff(want, raws(out)); d != "" {
					t.Errorf("findings differ:\n%s", d)
				}
				out.Leaves()
			}
		})
	}
	wg.Wait()
	if d := cmp.Diff(before, values); d != "" {
		t.Errorf("values changed:\n%s", d)
	}
}

// A template that does not end must not hold its caller.
func TestRenderIsCancelled(t *testing.T) {
	c := open(t, files{"templates/t.yaml": `{{ call .Values.block }}`})
	started, release := make(chan bool), make(chan bool)
	block := func() string {
		started <- true
		<-release
		return ""
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-started
		cancel()
	}()
	if _, err := c.within(ctx, RenderOptions{Values: map[string]any{"block": block}}); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	if _, err := c.Render(ctx, RenderOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a dead context: error is %v", err)
	}
	close(release)
	for !idle() { // the abandoned render ends now
		runtime.Gosched()
	}
}

// idle tells whether no call into Helm is under way.
func idle() bool {
	quiet.Lock()
	defer quiet.Unlock()
	return quiet.users == 0
}

func TestHelmIsSilent(t *testing.T) {
	var buf bytes.Buffer
	previous := log.Writer()
	log.SetOutput(&buf)
	defer log.SetOutput(previous)
	c := open(t, files{"values.yaml": "a: {b: 1}\n", "templates/t.yaml": `v: {{ required "x" .Values.none }}`})
	render(t, c, RenderOptions{Values: map[string]any{"a": "text"}})
	if buf.Len() > 0 {
		t.Errorf("logged: %s", buf.String())
	}
	if log.Writer() != &buf {
		t.Error("the logger's output was not put back")
	}
	restore := silence()
	log.Print("said by the program itself")
	restore()
	if !strings.Contains(buf.String(), "said by the program itself") {
		t.Error("what the program logs while Helm is at work is lost")
	}
}
