package chart

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The elements of lists are addressed by what names them.
func TestListElements(t *testing.T) {
	out := manifest(t, `
kind: Pod
spec:
  containers:
  - {name: app, ports: [{containerPort: 80, protocol: TCP}, {containerPort: 81, protocol: TCP}], volumeMounts: [{name: v, mountPath: /a}, {name: v, mountPath: /b}]}
  - {name: "7", args: [x, y]}
  imagePullSecrets: [{name: s}]
same: [{name: a, v: 1}, {name: a, v: 2}]
nameless: [{name: a, v: 1}, {v: 2}]
images: [{name: web, tag: "1"}, {name: db, tag: "2"}]
components: [{name: web, repository: acme/web, tag: "1"}]
keys: [{key: k.x, v: 1}]
ids: [{id: i 1, v: 1}]
references: [{name: acme/web, v: 1}]
`)
	got := map[string]string{}
	for p, v := range out.Leaves() {
		got[p.Path.String()] = v
	}
	for _, want := range []string{
		"spec.containers[app].ports[\"80\"].protocol", `spec.containers[app].volumeMounts["/b"].name`,
		`spec.containers["7"].args[1]`, "spec.imagePullSecrets[0].name", "same[1].v", "nameless[1].v",
		"images[0].name", "components[web].repository", "keys[k.x].v", `ids["i 1"].v`, "references[0].name",
	} {
		if _, ok := got[want]; !ok {
			t.Errorf("no scalar at %s", want)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
}

// What is added, removed, renamed and changed between two renders, each once and
// at the outermost place.
func TestDifferences(t *testing.T) {
	const before = `
kind: Pod
metadata: {name: app}
spec:
  containers:
  - {name: main, image: "a/main:1", args: [x, y]}
  - {name: side, image: "a/side:1", env: [{name: A, value: 1}]}
---
kind: ConfigMap
metadata: {name: one}
data: {a: 1}
---
kind: ConfigMap
metadata: {name: two}
data: {b: 1}
---
kind: Secret
metadata: {name: s}
---
kind: Job
metadata: {name: job-1}
spec: {a: 1}
`
	tests := []struct {
		name, after string
		want        []string
	}{
		{"nothing", before, nil},
		{"the same in another order", `
kind: Job
metadata: {name: job-1}
spec: {a: 1}
---
kind: ConfigMap
metadata: {name: two}
data: {b: 1}
---
kind: ConfigMap
metadata: {name: one}
data: {a: 1}
---
kind: Secret
metadata: {name: s}
---
kind: Pod
metadata: {name: app}
spec:
  containers:
  - {name: side, image: "a/side:1", env: [{name: A, value: 1}]}
  - {name: main, image: "a/main:1", args: [x, y]}
`, nil},
		{"much", `
kind: Pod
metadata: {name: app}
spec:
  containers:
  - {name: new, image: "a/new:1", ports: [1]}
  - {name: main, image: "b/main:1", args: [x, y, z]}
---
kind: ConfigMap
metadata: {name: two}
data: {b: 2}
---
kind: ConfigMap
metadata: {name: three}
data: {other: 1}
---
kind: Job
metadata: {name: job-2}
spec: {a: 1}
`, []string{
			`ConfigMap/one "ConfigMap one" → nothing`,
			`ConfigMap/three nothing → "ConfigMap three"`,
			`ConfigMap/two:data.b "1" → "2"`,
			`Job/job-1:metadata.name "job-1" → "job-2"`,
			`Pod/app:spec.containers[main].args[2] nothing → "z"`,
			`Pod/app:spec.containers[main].image "a/main:1" → "b/main:1"`,
			`Pod/app:spec.containers[new] nothing → "name: new, image: a/new:1, ports[0]: 1"`,
			`Pod/app:spec.containers[side] "name: side, image: a/side:1, env[A].name: A, env[A].value: 1" → nothing`,
			`Secret/s "Secret s" → nothing`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			base := manifest(t, before)
			var got []string
			for _, d := range base.Differences(manifest(t, tt.after).Like(base)) {
				text := func(s string, there bool) string {
					if !there {
						return "nothing"
					}
					return fmt.Sprintf("%q", s)
				}
				got = append(got, fmt.Sprintf("%s %s → %s", d.String()[len("app/templates/t.yaml#"):], text(d.Before, d.Had), text(d.After, d.Has)))
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// An identity survives what is random: the name, and with it the order of names.
func TestSteady(t *testing.T) {
	c := open(t, files{"values.yaml": "n: 1\nlabel: false\n", "templates/t.yaml": `
kind: Job
metadata: {name: a-{{ randAlphaNum 8 }}}
spec: {n: {{ .Values.n }}}
---
kind: Job
metadata: {name: steady}
---
kind: Job
metadata:
  name: b-{{ randAlphaNum 8 }}
  {{- if .Values.label }}
  labels: {x: y}
  {{- end }}
`})
	base := render(t, c, RenderOptions{}).Steady(render(t, c, RenderOptions{}))
	var got []string
	for i := range base.Manifests {
		got = append(got, base.Manifests[i].ID.String())
	}
	want := []string{"app/templates/t.yaml#Job/0", "app/templates/t.yaml#Job/steady", "app/templates/t.yaml#Job/2"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	after := render(t, c, RenderOptions{Values: set(t, "n=2", "label=true")}).Like(base)
	for i := range after.Manifests {
		if id := after.Manifests[i].ID.String(); id != want[i] {
			t.Errorf("with other values, document %d is %s, want %s", i, id, want[i])
		}
	}
	if v, _ := after.Lookup(after.Manifests[0].ID.At(Path{}.Key("spec").Key("n"))); v != "2" {
		t.Errorf("n reads %q", v)
	}
}
