package chart

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Positions and Lookup must survive other values, random names and a changed
// shape of the reference.
func TestPositionsAreStable(t *testing.T) {
	c := open(t, files{
		"values.yaml": "registry: docker.io\nrepository: org/app\ntag: v1\nhub: quay.io/org\n",
		"templates/all.yaml": `
kind: Deployment
metadata: {name: app-{{ randAlphaNum 8 }}}
spec:
  template:
    spec:
      containers:
      - image: {{ .Values.registry }}/{{ .Values.repository }}:{{ .Values.tag }}
        args: ["--sync={{ .Values.registry }}/{{ .Values.repository }}:{{ .Values.tag }},{{ .Values.hub }}/sync"]
        env:
        - {name: X_IMAGE_REPOSITORY, value: {{ .Values.registry }}/x}
        - {name: X_IMAGE_TAG, value: {{ .Values.tag }}}
---
kind: ConfigMap
metadata: {name: {{ uuidv4 }}}
data:
  conf: |
    image: {registry: {{ .Values.registry }}, repository: {{ .Values.repository }}, tag: {{ .Values.tag }}}
    plain: {{ .Values.hub }}/plain
  cfg: |
    [a]
    pod_repository = {{ .Values.registry }}/pod
    pod_tag = {{ .Values.tag }}
---
kind: Deployment
spec: {template: {spec: {containers: [{image: "{{ .Values.hub }}/second:1"}]}}}
`,
	})
	before := render(t, c, RenderOptions{})
	after := render(t, c, RenderOptions{Values: set(t, "registry=zs1z.probe.io:5000/a", "hub=zs2z.probe.io:5000")})
	before = before.Steady(render(t, c, RenderOptions{}))
	after = after.Like(before)
	const file = "app/templates/all.yaml"
	want := [][3]string{
		{file + "#Deployment/0:spec.template.spec.containers[0].image", "docker.io/org/app:v1", "zs1z.probe.io:5000/a/org/app:v1"},
		{file + `#Deployment/0:spec.template.spec.containers[0].env[X_IMAGE_REPOSITORY].value~ref`, "docker.io/x:v1", "zs1z.probe.io:5000/a/x:v1"},
		{file + "#Deployment/0:spec.template.spec.containers[0].args[0]~2", "docker.io/org/app:v1", "zs1z.probe.io:5000/a/org/app:v1"},
		{file + "#Deployment/0:spec.template.spec.containers[0].args[0]~3", "quay.io/org/sync", "zs2z.probe.io:5000/sync"},
		{file + "#ConfigMap/0:data.conf|yaml.image.repository~ref", "docker.io/org/app:v1", "zs1z.probe.io:5000/a/org/app:v1"},
		{file + "#ConfigMap/0:data.conf|yaml.plain", "quay.io/org/plain", "zs2z.probe.io:5000/plain"},
		{file + "#ConfigMap/0:data.cfg~3~ref", "docker.io/pod:v1", "zs1z.probe.io:5000/a/pod:v1"},
		{file + "#Deployment/1:spec.template.spec.containers[0].image", "quay.io/org/second:1", "zs2z.probe.io:5000/second:1"},
	}
	var got [][3]string
	for _, f := range before.Findings() {
		now, ok := after.Lookup(f.Position)
		if !ok {
			t.Errorf("%s is gone", f.Position)
		}
		got = append(got, [3]string{f.Position.String(), f.Raw, now})
	}
	slices.SortFunc(got, func(a, b [3]string) int { return slices.Compare(a[:], b[:]) })
	slices.SortFunc(want, func(a, b [3]string) int { return slices.Compare(a[:], b[:]) })
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("position, reference before and after (-want +got):\n%s", d)
	}
}

// The same key may hold part of a reference in one render and all of it in
// another.
func TestLookupOfAnotherShape(t *testing.T) {
	c := open(t, files{
		"values.yaml":      "image: org/app\n",
		"templates/a.yaml": "kind: App\nspec: {image: '{{ .Values.image }}', tag: v1}\n",
	})
	before := render(t, c, RenderOptions{})
	after := render(t, c, RenderOptions{Values: set(t, "image=zs1z.probe.io/app:v2")})
	split, whole := before.Findings(), after.Findings()
	if len(split) != 1 || len(whole) != 1 {
		t.Fatalf("findings: %v and %v", split, whole)
	}
	if got, _ := after.Lookup(split[0].Position); got != "zs1z.probe.io/app:v2" {
		t.Errorf("Lookup(%s) = %q", split[0].Position, got)
	}
	if got, _ := before.Lookup(whole[0].Position); got != "org/app:v1" {
		t.Errorf("Lookup(%s) = %q", whole[0].Position, got)
	}
}

func TestLookupOfNothing(t *testing.T) {
	out := manifest(t, "kind: A\nspec: {a: x}")
	doc := Document{Template: "app/templates/t.yaml", Kind: "A"}
	spec := Path{}.Key("spec")
	for _, p := range []Position{
		{}, {Document: Document{Template: doc.Template}}, doc.At(Path{}), doc.At(spec),
		Document{Template: doc.Template, Kind: "A", Ordinal: 1}.At(spec.Key("a")), doc.At(spec.Key("b")),
		{Document: doc, Path: spec.Key("a"), Word: 7},
	} {
		if got, ok := out.Lookup(p); ok {
			t.Errorf("Lookup(%v) = %q", p, got)
		}
	}
	if got, ok := out.Lookup(doc.At(spec.Key("a"))); !ok || got != "x" {
		t.Errorf("what is there reads %q", got)
	}
}

func TestLeaves(t *testing.T) {
	out := manifest(t, `
kind: ConfigMap
metadata: {name: n}
n: 1.50
t: true
z:
data:
  a.b: |
    x: {y: [p, q]}
  j: '{"k": 2}'
  text: plain # words
  empty: "{}"
---
kind: CustomResourceDefinition
spec: {}
---
kind: Secret
data: {p: cGxhaW4=}
`)
	got := map[string]string{}
	for p, v := range out.Leaves() {
		got[p.String()] = v
		if now, ok := out.Lookup(p); !ok || now != v {
			t.Errorf("Lookup(%s) = %q, %v; want %q", p, now, ok, v)
		}
	}
	const id = "app/templates/t.yaml#ConfigMap/n:"
	want := map[string]string{
		id + "kind": "ConfigMap", id + "metadata.name": "n", id + "n": "1.50", id + "t": "true", id + "z": "",
		id + `data["a.b"]|yaml.x.y[0]`: "p", id + `data["a.b"]|yaml.x.y[1]`: "q",
		id + "data.j|json.k": "2", id + "data.text": "plain", id + "data.empty": "{}",
		"app/templates/t.yaml#CustomResourceDefinition/0": got["app/templates/t.yaml#CustomResourceDefinition/0"],
		"app/templates/t.yaml#Secret/0:kind":              "Secret",
		"app/templates/t.yaml#Secret/0:data.p|base64":     "plain",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("leaves (-want +got):\n%s", d)
	}
	if crd := got["app/templates/t.yaml#CustomResourceDefinition/0"]; len(crd) != len("sha256:")+64 {
		t.Errorf("a definition's leaf is %q", crd)
	}
}

func TestManifests(t *testing.T) {
	c := open(t, files{
		"templates/b.yaml": `
# nothing here
---
kind: Job
apiVersion: batch/v1
metadata:
  name: j
  namespace: ns
  annotations: {helm.sh/hook: "post-install, Pre-Upgrade"}
---
kind: Pod
metadata: {annotations: {helm.sh/hook: test-success}}
spec: {containers: [{image: "a/b:1"}]}
---
text: |
  a
  ---
  b
`,
		"templates/a.yaml":    "{{ if false }}x{{ end }}",
		"templates/_h.tpl":    `{{ define "h" }}kind: X{{ end }}`,
		"templates/NOTES.txt": "Hello {{ .Release.Name }}",
		"crds/crd.yaml":       "kind: CustomResourceDefinition\nspec: {image: 'a/b:1'}",
	})
	out := render(t, c, RenderOptions{Strict: true, ReleaseName: "rel"})
	type row struct {
		id, api, kind, name, ns string
		hooks                   []string
		test                    bool
	}
	var got []row
	for _, m := range out.Manifests {
		got = append(got, row{m.ID.String(), m.APIVersion, m.Kind, m.Name, m.Namespace, m.Hooks, m.Test()})
	}
	want := []row{
		{"app/templates/b.yaml#Job/j", "batch/v1", "Job", "j", "ns", []string{"post-install", "pre-upgrade"}, false},
		{"app/templates/b.yaml#Pod/0", "", "Pod", "", "", []string{"test-success"}, true},
		{"app/templates/b.yaml#/0", "", "", "", "", nil, false},
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(row{})); d != "" {
		t.Errorf("manifests (-want +got):\n%s", d)
	}
	if out.Notes != "Hello rel" {
		t.Errorf("notes: %q", out.Notes)
	}
	if f := out.Findings(); len(f) != 1 || !f[0].Test {
		t.Errorf("findings: %+v", f)
	}
}

func TestPods(t *testing.T) {
	out := manifest(t, `
kind: Deployment
metadata: {name: d}
spec: {template: {spec: {serviceAccountName: sa, imagePullSecrets: [{name: a}, {name: b}, {name: a}], containers: [{image: x:1}], initContainers: [{image: y:1}]}}}
---
kind: CronJob
metadata: {name: c}
spec: {jobTemplate: {spec: {template: {spec: {containers: [{image: z:1}]}}}}}
---
kind: List
items:
- kind: Pod
  metadata: {name: p, annotations: {helm.sh/hook: test}}
  spec: {imagePullSecrets: [{name: c}]}
---
kind: ServiceAccount
metadata: {name: sa}
imagePullSecrets: [{name: d}]
---
kind: Deployment
spec: {}
---
kind: Other
spec: {template: {spec: {imagePullSecrets: [{name: e}]}}}
`)
	pod := func(kind, name string, path Path) Position {
		return Document{Template: "app/templates/t.yaml", Kind: kind, Name: name}.At(path)
	}
	spec := Path{}.Key("spec")
	template := spec.Key("template").Key("spec")
	want := []Pod{
		{Position: pod("Deployment", "d", template), Kind: "Deployment", Name: "d", PullSecrets: []string{"a", "b"}, ServiceAccount: "sa", Images: []string{"x:1", "y:1"}},
		{Position: pod("CronJob", "c", spec.Key("jobTemplate").Key("spec").Key("template").Key("spec")), Kind: "CronJob", Name: "c", Images: []string{"z:1"}},
		{Position: pod("List", "", Path{}.Key("items").Index(0).Key("spec")), Kind: "Pod", Name: "p", PullSecrets: []string{"c"}},
		{Position: pod("ServiceAccount", "sa", Path{}), Kind: "ServiceAccount", Name: "sa", PullSecrets: []string{"d"}, ServiceAccount: "sa"},
	}
	if d := cmp.Diff(want, out.Pods(), cmp.AllowUnexported(Path{})); d != "" {
		t.Errorf("pods (-want +got):\n%s", d)
	}
}
