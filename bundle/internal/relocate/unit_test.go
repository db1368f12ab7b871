package relocate

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"bundle/bundle/internal/chart"
)

func TestKindOf(t *testing.T) {
	tests := []struct {
		path string
		want kind
	}{
		{"image.registry", registryKey}, {"global.imageRegistry", registryKey}, {"hub", registryKey},
		{"global.hub", registryKey}, {"global.cattle.systemDefaultRegistry", registryKey},
		{"registry.host", registryKey}, {"privateRegistry.registryUrl", registryKey}, {"imagePrefix", registryKey},
		{"image.domain", registryKey}, {"registryMirror", registryKey},
		{"image.repository", imageKey}, {"image", imageKey}, {"sidecarImage", imageKey}, {"image.name", imageKey},
		{"images.namespace", imageKey}, {"defaultImageRepository", imageKey}, {"mongodb.repo", imageKey},
		{"image.tag", otherKey}, {"image.digest", otherKey}, {"imagePullSecrets", otherKey},
		{"image.pullPolicy", otherKey}, {"registry.password", otherKey}, {"registry.port", otherKey},
		{"imageRegistrySecret", otherKey}, {"fullnameOverride", otherKey}, {"github", registryKey},
		{"image.enabled", otherKey}, {"imageVersion", otherKey}, {"nats", otherKey},
	}
	for _, tt := range tests {
		if got := kindOf(splitPath(tt.path)); got != tt.want {
			t.Errorf("kindOf(%s) = %d, want %d", tt.path, got, tt.want)
		}
	}
}

func TestFindInValue(t *testing.T) {
	set := prefixes([]string{
		"docker.io/acme/web:1.2", "docker.io/acme/web:1.25", "nats:2.9.1", "nats:2.9.12",
		"quay.io/acme/audit:1.4@sha256:aa", "localhost:5000/x:1", "proxy",
	})
	tests := []struct {
		value string
		want  []string
	}{
		{"docker.io", []string{"docker.io"}},
		{"docker.io/", []string{"docker.io/"}},
		{"docker.io/acme", []string{"docker.io/acme"}},
		{"docker.io/acm", nil},
		{"acme/web", nil},
		{"docker.io/acme/web:1.2", []string{"docker.io/acme/web:1.2"}},
		{"docker.io/acme/web:1.2\n", []string{"docker.io/acme/web:1.2"}},
		{"nats", []string{"nats"}},
		{"nats:2.9.1", []string{"nats:2.9.1"}},
		{"nats:2.9", nil},
		{"run nats:2.9.12 now", []string{"nats:2.9.12"}},
		{"the nats server", nil},
		{"see https://docker.io/acme/web:1.2", nil},
		{"--image=docker.io/acme/web:1.25,x", []string{"docker.io/acme/web:1.25"}},
		{"a: docker.io/acme/web:{{ .tag }}\nb: quay.io/acme/audit:1.4", []string{"docker.io/acme/web", "quay.io/acme/audit:1.4"}},
		{"docker.io/{{ .Values.name }}", []string{"docker.io"}},
		{"allow docker.io and quay.io", nil},
		{"localhost:5000", []string{"localhost:5000"}},
		{"proxy", []string{"proxy"}},
	}
	for _, tt := range tests {
		var got []string
		for _, part := range set.find(tt.value) {
			got = append(got, tt.value[part[0]:part[1]])
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("find(%q) (-want +got):\n%s", tt.value, diff)
		}
	}
}

func TestDecode(t *testing.T) {
	slots := []*slot{
		{path: path{"registry"}, text: "docker.io", to: 9},
		{path: path{"repository"}, text: "acme/web", to: 8},
		{path: path{"org"}, text: "quay.io/acme/", to: 13},
		{path: path{"guess"}},
	}
	form{port: ":5000", prefix: "/apps"}.mark(slots)
	registry, repository, org, guess := slots[0].sentinel, slots[1].sentinel, slots[2].sentinel, slots[3].sentinel
	tests := []struct {
		name, got, want string
		slot            int
		value           string
	}{
		{"registry", registry + "/acme/web:1", "reg:5000/acme/web:1", 0, "reg:5000"},
		{"hides the repository", registry + "/" + repository + ":1", "reg/acme/web:1", 0, "reg"},
		{"repository", repository + ":1", "reg/acme/web:1", 1, "reg/acme/web"},
		{"namespace with slash", org + "web:1", "reg/acme/web:1", 2, "reg/acme/"},
		{"guess in front", guess + "/acme/web:1", "reg/acme/web:1", 3, "reg"},
		{"whole", guess, "reg/acme/web:1", 3, "reg/acme/web:1"},
		{"behind a host that stays", "docker.io/" + guess + ":1", "reg/acme/web:1", 3, ""},
		{"in front of another path", registry + "/other:1", "reg/acme/web:1", 0, ""},
		{"nothing", "docker.io/acme/web:1", "reg/acme/web:1", -1, ""},
		{"nothing to set", guess + "reg/acme/web:1", "reg/acme/web:1", 3, ""},
	}
	for _, tt := range tests {
		s, value := decode(tt.got, tt.want, slots)
		if tt.slot < 0 {
			if s != nil {
				t.Errorf("%s: %s = %q, want none", tt.name, s.path, value)
			}
			continue
		}
		if s != slots[tt.slot] || value != tt.value {
			t.Errorf("%s: %v = %q, want %s = %q", tt.name, s, value, slots[tt.slot].path, tt.value)
		}
	}
}

func TestFormOf(t *testing.T) {
	tests := []struct {
		raw, target string
		want        form
	}{
		{"docker.io/a:1", "reg.local/a:1", form{}},
		{"a:1", "reg:5000/a:1", form{port: ":5000"}},
		{"quay.io/a/b:1", "reg:5000/x/y/a/b:1", form{":5000", "/x/y"}},
		{"quay.io/a/b:1", "reg/renamed:2", form{}},
	}
	for _, tt := range tests {
		if got := formOf(tt.raw, tt.target); got != tt.want {
			t.Errorf("formOf(%q, %q) = %+v, want %+v", tt.raw, tt.target, got, tt.want)
		}
	}
}

// What templates read, in all the ways they read it.
func TestGuessKeys(t *testing.T) {
	values := map[string]any{
		"web":   map[string]any{"image": map[string]any{"repository": "acme/web", "tag": 1.0}},
		"plain": "docker.io/x",
		"git":   map[string]any{"url": "https://git.acme.dev"},
	}
	tests := []struct {
		name, path string
		library    bool
		text       string
		want       []string
	}{
		{"chain", "", false, `{{ .Values.a.registry }}`, []string{"a.registry"}},
		{"dollar", "", false, `{{ range .x }}{{ $.Values.imageRegistry }}{{ end }}`, []string{"imageRegistry"}},
		{"parenthesised", "", false, `{{ ((.Values.global).image).registry }}`, []string{"global.image.registry"}},
		{"global from anywhere", "sub", false, `{{ .ctx.global.imageRegistry }}`, []string{"global.imageRegistry"}},
		{"global of a subchart", "sub", false, `{{ .Values.global.hub }}`, []string{"global.hub"}},
		{"below a subchart", "sub.deep", false, `{{ .Values.image.registry }}`, []string{"sub.deep.image.registry"}},
		{"library", "common", true, `{{ .Values.platform.registry }}`, []string{"common.platform.registry", "platform.registry"}},
		{"variable", "", false, `{{ $i := .Values.a.image }}{{ $i.registry }}`, []string{"a.image", "a.image.registry"}},
		{"with", "", false, `{{ with .Values.a }}{{ .hub }}{{ end }}`, []string{"a.hub"}},
		{"with default", "", false, `{{ with default (dict) .Values.a }}{{ .hub }}{{ end }}`, []string{"a.hub"}},
		{"index", "", false, `{{ index .Values "my-app" "registry" }}`, []string{"my-app.registry", "web.image.registry"}},
		{"get", "", false, `{{ get .Values.a "registry" }}`, []string{"a.registry", "web.image.registry"}},
		{"dig", "", false, `{{ dig "a" "registry" "docker.io" .Values }}`, []string{"a.registry", "web.image.registry"}},
		{"hasKey", "", false, `{{ if hasKey .Values.a "registry" }}x{{ end }}`, []string{"a.registry", "web.image.registry"}},
		{"sibling of an image map", "", false, `{{ define "x" }}{{ .imageRoot.registry }}{{ end }}`, []string{"web.image.registry"}},
		{"in the else", "", false, `{{ if .a }}{{ else if .b }}{{ else }}{{ .Values.r.registry }}{{ end }}`, []string{"r.registry"}},
		{"in a pipe", "", false, `{{ printf "%s/%s" (.Values.r.registry | trimSuffix "/") "x" }}`, []string{"r.registry"}},
		{"not a place", "", false, `{{ .Values.image.pullPolicy }}{{ .Values.registry.password }}{{ .Values.name }}`, nil},
		{"does not parse", "", false, `{{ .Values.a.registry`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := chart.TemplateFile{Name: "x/templates/x.yaml", Path: tt.path, Library: tt.library, Text: tt.text}
			var got []string
			for _, p := range readTemplates([]chart.TemplateFile{file}).imageKeys(values) {
				got = append(got, p.String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzReadTemplate(f *testing.F) {
	f.Add(`{{ .Values.a.registry | default (dig "a" "b" "" .Values) }}`)
	f.Add(`{{ with $x := .Values.a }}{{ $x.b }}{{ range $i, $e := $x }}{{ $e.c }}{{ end }}{{ end }}`)
	f.Add(`{{ define "a" }}{{ template "b" dict "x" (index .Values "a") }}{{ end }}{{ block "c" . }}{{ break }}{{ end }}`)
	f.Add(`{{ dig }}{{ get }}{{ index . }}{{ pluck "a" }}{{ coalesce }}{{ default }}`)
	f.Fuzz(func(t *testing.T, text string) {
		file := chart.TemplateFile{Name: "x", Text: text}
		for _, p := range readTemplates([]chart.TemplateFile{file}).imageKeys(map[string]any{"image": map[string]any{"tag": "1", "name": "x"}}) {
			if len(p) == 0 || kindOf(p) == otherKey {
				t.Errorf("guessed %q", p)
			}
		}
	})
}

// Values are set where the path says, whatever is there, and a list comes along
// whole.
func TestOverlayValues(t *testing.T) {
	var base map[string]any
	if err := yaml.Unmarshal([]byte(`
a: {b: {c: old, d: 1}}
list:
- {name: x, image: old, ports: [1, 2]}
- {name: y, deep: [{image: old}]}
empty: null
`), &base); err != nil {
		t.Fatal(err)
	}
	set := func(value any, p ...any) overlay { return overlay{path(p).String(): {path(p), value}} }
	tests := []struct {
		name string
		o    overlay
		want string
	}{
		{"a key", set("new", "a", "b", "c"), `{a: {b: {c: new}}}`},
		{"an absent key", set("new", "x", "y.z"), `{x: {y.z: new}}`},
		{"below null", set("new", "empty", "k"), `{empty: {k: new}}`},
		{"in a list", set("new", "list", 0, "image"), `{list: [{name: x, image: new, ports: [1, 2]}, {name: y, deep: [{image: old}]}]}`},
		{"in a list in a list", set("new", "list", 1, "deep", 0, "image"), `{list: [{name: x, image: old, ports: [1, 2]}, {name: y, deep: [{image: new}]}]}`},
		{"two in a list", set("one", "list", 0, "image").with(set("two", "list", 1, "deep", 0, "image")),
			`{list: [{name: x, image: one, ports: [1, 2]}, {name: y, deep: [{image: two}]}]}`},
		{"an item", set("new", "list", 0, "ports", 1), `{list: [{name: x, image: old, ports: [1, new]}, {name: y, deep: [{image: old}]}]}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before, _ := yaml.Marshal(base)
			var want map[string]any
			if err := yaml.Unmarshal([]byte(tt.want), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, tt.o.values(base)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if after, _ := yaml.Marshal(base); string(after) != string(before) {
				t.Errorf("the values themselves changed:\n%s", after)
			}
		})
	}
}

func TestExplained(t *testing.T) {
	var root chart.Path
	spec := root.Key("spec")
	at := func(n int, p chart.Path) chart.Position {
		return chart.Document{Template: "t", Kind: "A", Ordinal: n}.At(p)
	}
	spread := at(0, spec.Key("repository"))
	spread.Spread = true
	moved := []Move{
		{Finding: chart.Finding{Position: at(0, spec.Key("image")), Raw: "quay.io/a:1"}, Target: "reg/a:1"},
		{Finding: chart.Finding{Position: spread, Raw: "docker.io/b/c:1"}, Target: "reg/b/c:1"},
	}
	sum := strings.Repeat("0123456789abcdef", 4)
	tests := []struct {
		at       chart.Position
		was, now string
		want     bool
	}{
		{at(0, spec.Key("image")), "quay.io/a:1", "reg/a:1", true},
		{at(0, spec.Key("image")), "oci://quay.io/a:1", "oci://reg/a:1", true},
		{at(0, root.Key("args").Index(0)), "--x=quay.io/a:1,docker.io/b/c:1", "--x=reg/a:1,reg/b/c:1", true},
		{at(0, root.Key("args").Index(0)), "--x=quay.io/a:1", "--y=reg/a:1", false},
		{at(0, root.Key("args").Index(0)), "x = quay.io/a:1", "x: quay.io/a:1", false},
		{at(0, root.Key("args").Index(0)), "quay.io/a:1", "reg/a:2", false},
		{at(0, root.Key("args").Index(0)), "quay.io/a:1", "reg/a:1 and more", false},
		{at(0, root.Key("args").Index(0)), "quay.io/a:1", "reg/a:1!", false},
		{at(0, spec.Key("registry")), "docker.io", "reg", true},
		{at(1, spec.Key("registry")), "docker.io", "reg", false},
		{at(0, spec.Key("registry")), "quay.io", "reg", false},
		{at(0, spec.Key("url")), "https://docker.io/b/c", "https://reg/b/c", false},
		{at(0, root.Key("checksum")), sum, strings.Repeat("fedcba9876543210", 4), false},
		{at(0, spec.Key("replicas")), "1", "2", false},
	}
	for _, tt := range tests {
		if got := explained(tt.at, tt.was, tt.now, moved); got != tt.want {
			t.Errorf("explained(%v, %q, %q) = %v, want %v", tt.at, tt.was, tt.now, got, tt.want)
		}
	}
}

// The file says the same as the overrides, and reads well.
func TestFormatYAML(t *testing.T) {
	r := &Result{
		Overrides: map[string]any{
			"a":    map[string]any{"registry": "reg:5000", "1.10": "reg/x", "on": true, "n": float64(20240101), "f": 1.5},
			"list": []any{map[string]any{"image": "reg/y:1", "args": []any{}, "env": map[string]any{}, "none": nil}},
			"text": "- image: reg/z\n- image: reg/w\n",
		},
		Unlocked: []string{"a.on"},
		Moved: []Move{
			{Finding: chart.Finding{Raw: "quay.io/b:1"}, Keys: []string{"a.registry"}},
			{Finding: chart.Finding{Raw: "quay.io/a:1"}, Keys: []string{"a.registry"}},
			{Finding: chart.Finding{Raw: "quay.io/a:1"}, Keys: []string{"a.registry"}},
			{Finding: chart.Finding{Raw: "x:1"}, Keys: []string{`a.1\.10`}},
			{Finding: chart.Finding{Raw: "y:1"}, Keys: []string{"list[0].image"}},
		},
	}
	want := `# Values for web 1.0.0
#
# helm install -f FILE

a:
  # x:1
  "1.10": reg/x
  f: 1.5
  "n": 20240101
  # The chart refuses other images otherwise.
  "on": true
  # quay.io/a:1
  # quay.io/b:1
  registry: reg:5000
# y:1
list:
  - args: []
    env: {}
    image: reg/y:1
    none: null
text: |
  - image: reg/z
  - image: reg/w
`
	got := FormatYAML(r, []string{"Values for web 1.0.0", "", "helm install -f FILE"})
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var back map[string]any
	if err := yaml.Unmarshal(got, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r.Overrides, back); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	if got := string(FormatYAML(&Result{}, []string{"Nothing"})); got != "# Nothing\n{}\n" {
		t.Errorf("without overrides: %q", got)
	}
}
