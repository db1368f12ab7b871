package emit

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/disk"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/record"
	"bundle/testdata/judge"
	"bundle/testdata/regtest"
)

// programs makes a folder for $PATH with a program called bundle, a post-renderer. It has
// this process do the work, which to start once more takes ten times as long: it leaves
// its input in a file, says so by a pipe, and waits for the answer by another.
func programs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	const script = `#!/bin/sh
cd '%s' && cat >$$.in && mkfifo $$.out || exit 1
for map; do :; done
echo "$$ ${map#--map=}" >asked
cat $$.out
if test -e $$.failed; then exit 1; fi
`
	if err := os.WriteFile(filepath.Join(dir, "bundle"), fmt.Appendf(nil, script, dir), 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, nil, "mkfifo", filepath.Join(dir, "asked"))
	asked, err := os.OpenFile(filepath.Join(dir, "asked"), os.O_RDWR, 0) // never at its end
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { asked.Close() })
	go func() {
		for lines := bufio.NewScanner(asked); lines.Scan(); {
			go postRenders(t, dir, lines.Text())
		}
	}()
	return dir
}

// postRenders does what a post-renderer has asked for.
func postRenders(t *testing.T, dir, asked string) {
	name, mapFile, _ := strings.Cut(asked, " ")
	file := filepath.Join(dir, name)
	in, err := os.ReadFile(file + ".in")
	var out bytes.Buffer
	if err == nil {
		_, err = PostRender(context.Background(), bytes.NewReader(in), &out, mapFile)
	}
	if err != nil {
		t.Errorf("post-renderer: %v", err)
		err = os.WriteFile(file+".failed", nil, 0o600)
	}
	err = errors.Join(err, os.WriteFile(file+".out", out.Bytes(), 0o600))
	if err != nil {
		t.Error(err)
	}
}

const judgeRegistry = "registry.plant.local:5000/apps"

// emitFixture does what an import does for a chart, all but the push.
func emitFixture(t *testing.T, dir string, change ...func(*Chart, *Options)) (*Chart, Options) {
	t.Helper()
	ctx := context.Background()
	ch, err := chart.Load(ctx, chart.Source{Ref: dir}, chart.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := place.ParseRegistry(judgeRegistry)
	if err != nil {
		t.Fatal(err)
	}
	c := &Chart{
		Record: record.Chart{Name: ch.Name(), Version: ch.Version(), Release: "rel", Namespace: "default", KubeVersion: chart.DefaultKubeVersion},
		Chart:  ch, Naming: place.NewNames(&record.Record{}, r, place.Full), dir: "rel",
	}
	if filepath.Base(dir) == "needs-values" {
		c.Record.Values = map[string]any{"storage": map[string]any{"bucket": "traces"}}
	}
	o := Options{Registry: r, OutputDir: t.TempDir()}
	for _, f := range change {
		f(c, &o)
	}
	if err := c.Derive(ctx, o); err != nil {
		t.Fatal(err)
	}
	Ways([]*Chart{c}, nil, o)
	if _, err := Write([]*Chart{c}, nil, nil, o); err != nil {
		t.Fatal(err)
	}
	return c, o
}

// references lists what a stream of manifests names.
func references(t *testing.T, stream string) []string {
	t.Helper()
	stream = strings.ReplaceAll(stream, "{{", "{{ `{{` }}")
	dir := regtest.Folder(t, "-- Chart.yaml --\napiVersion: v2\nname: read\nversion: 1.0.0\n-- templates/all.yaml --\n"+stream)
	ch, err := chart.Load(context.Background(), chart.Source{Ref: dir}, chart.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	out, err := ch.Render(context.Background(), chart.RenderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range out.Findings() {
		if f.Confidence != name.Placeholder {
			all = append(all, f.Raw)
		}
	}
	return all
}

func run(t *testing.T, env []string, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(append(os.Environ(), "GOMAXPROCS=1"), env...) // more is not worth it for so short a run
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, errs.String())
	}
	return out.String()
}

// ask asks a judge that answers many questions in one process.
func ask(t *testing.T, env map[string]string, judgeName string, args ...string) string {
	t.Helper()
	out, err := judge.AskWith(t, env, judgeName, args...)
	if err != nil {
		t.Fatalf("%s %s: %v", judgeName, strings.Join(args, " "), err)
	}
	return out
}

// outside requires that of the references in a stream exactly those still point
// outside that no way of these moves.
func (c *Chart) outside(t *testing.T, who, stream string, ways ...string) {
	t.Helper()
	may := make(map[string]bool)
	for _, l := range c.Left {
		if l.Target != "" && !l.needs(ways...) {
			may[l.raw] = true
		}
	}
	got := make(map[string]bool)
	for _, raw := range references(t, stream) {
		if !strings.HasPrefix(raw, judgeRegistry+"/") {
			got[raw] = true
		}
	}
	for raw := range got {
		if !may[raw] {
			t.Errorf("%s: %s still points outside", who, raw)
		}
	}
	for raw := range may {
		if !got[raw] && who != "kustomize" { // which has neither what only helm test runs nor upgrades
			t.Errorf("%s: %s is said to stay outside, and does not", who, raw)
		}
	}
}

// hardCharts have references that no value moves, in places that are hard to edit.
var hardCharts = map[string]string{
	"hooks-and-tests": `
apiVersion: batch/v1
kind: Job
metadata: {name: j, annotations: {"helm.sh/hook": "pre-install,post-upgrade"}}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: ghcr.io/acme/hook:1}]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: t, annotations: {"helm.sh/hook": test}}
spec: {containers: [{name: a, image: ghcr.io/acme/test:1}]}
---
apiVersion: v1
kind: Pod
metadata: {name: p}
spec: {containers: [{name: a, image: ghcr.io/acme/plain:1}]}
`,
	"a-list-with-anchors": `
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: ConfigMap
    metadata: {name: a}
    data: &shared {IMAGE: ghcr.io/acme/one:1}
  - apiVersion: v1
    kind: ConfigMap
    metadata: {name: b}
    data: *shared
`,
	"schema-elsewhere": `
apiVersion: v1
kind: Pod
metadata: {name: p}
spec: {containers: [{name: a, image: ghcr.io/acme/one:1}]}
-- values.schema.json --
{"properties": {"a": {"$ref": "https://schemas.invalid/a.json"}}}
`,
	"two-alike": `
apiVersion: v1
kind: Pod
metadata: {name: p}
spec: {containers: [{name: a, image: ghcr.io/acme/one:1}]}
---
apiVersion: v1
kind: Pod
metadata: {name: p}
spec: {containers: [{name: a, image: ghcr.io/acme/two:1}]}
`,
	"upgrades": `
{{- if .Release.IsUpgrade }}
apiVersion: v1
kind: Pod
metadata: {name: later}
spec: {containers: [{name: a, image: ghcr.io/acme/later:1}]}
{{- end }}
---
apiVersion: v1
kind: Pod
metadata: {name: p}
spec: {containers: [{name: a, image: ghcr.io/acme/plain:1}]}
`,
	"without-a-name": `
apiVersion: batch/v1
kind: Job
metadata: {generateName: j-}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: ghcr.io/acme/one:1}]}}}
`,
	"in-strings": `
apiVersion: v1
kind: Secret
metadata: {name: s}
data: {cfg: {{ "image:\n  repository: ghcr.io/acme/one\n  tag: '1'\n" | b64enc }}}
---
apiVersion: v1
kind: Secret
metadata: {name: s2}
stringData:
  a.json: {{ dict "image" "ghcr.io/acme/two:2" "registry" (dict "hub" "ghcr.io") | toJson | quote }}
  b.yaml: |-
    # comment
    sidecar: &s {image: {registry: ghcr.io, repository: acme/three, tag: "3"}}
    other: *s
---
{{ dict "apiVersion" "acme.dev/v1" "kind" "Thing" "metadata" (dict "name" "t") "spec" (dict "image" "ghcr.io/acme/four:4") | toJson }}
---
apiVersion: acme.dev/v1
kind: Thing
metadata: {name: folded}
spec:
  args: >-
    --image=ghcr.io/acme/five:5
    --sidecar-image ghcr.io/acme/six:6
  script: |+
    #!/bin/sh
    export JOB_IMAGE=ghcr.io/acme/seven:7
    # -------- ruler
    run --image "ghcr.io/acme/eight:8"

  list: "ghcr.io/acme/nine:9,ghcr.io/acme/ten:10"
`,
}

// What is said to move a reference moves it, for every chart there is, judged by
// Helm 3, Helm 4 and kustomize with exactly the files that are written.
func TestJudges(t *testing.T) {
	kustomize := judge.Path(t, "kustomize")
	helm4, err := judge.Find("helm4")
	if err != nil {
		t.Fatal(err) // make helm4
	}
	path := programs(t) + string(filepath.ListSeparator) + os.Getenv("PATH")
	charts, err := filepath.Glob("../../../testdata/charts/*")
	if err != nil || len(charts) < 50 {
		t.Fatalf("%d charts: %v", len(charts), err)
	}
	names := make(map[string]string)
	for _, dir := range charts {
		names[filepath.Base(dir)] = dir
	}
	delete(names, "library") // it installs nothing
	for name, text := range hardCharts {
		names[name] = regtest.Folder(t, "-- Chart.yaml --\napiVersion: v2\nname: "+name+"\nversion: 1.0.0\n-- templates/all.yaml --\n"+text)
	}
	for name, dir := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, o := emitFixture(t, dir)
			args := []string{"template", "rel", dir, "--kube-version", c.Record.KubeVersion}
			for _, f := range c.files() {
				args = append(args, "-f", filepath.Join(o.OutputDir, f))
			}
			if len(c.unread()) > 0 {
				args = append(args, "--skip-schema-validation")
			}
			if skip := strings.Contains(c.helmInstall(o), "--skip-schema-validation"); skip != (name == "schema-elsewhere") || skip != (len(c.Report(o).Warnings) > 0 && c.breaks4+c.unbuildable == "") {
				t.Errorf("%s, warnings %q", c.helmInstall(o), c.Report(o).Warnings)
			}
			env := map[string]string{"PATH": path}
			four := func() string { return ask(t, nil, "helms4", args...) }
			if c.postRendered() {
				i := slices.Index(strings.Fields(c.helmInstall(o)), "--post-renderer")
				args = append(args, strings.Fields(c.helmInstall(o))[i:]...)
				four = func() string { // which looks for plugins when it is started
					env := []string{"PATH=" + path, "HELM_PLUGINS=" + filepath.Join(o.OutputDir, plugins), "HOME=" + t.TempDir()}
					return run(t, env, helm4, args...)
				}
			}
			c.outside(t, "helm 3", ask(t, env, "helms3", args...), WayPostRender, WayPostRender3)
			if helm4 != "" && c.breaks4 == "" {
				c.outside(t, "helm 4", four(), WayPostRender, WayPostRender4)
			}
			if c.any(WayKustomize) {
				built := run(t, nil, kustomize, "build", filepath.Join(o.OutputDir, "rel", "kustomize"))
				c.outside(t, "kustomize", built, WayKustomize)
			}
		})
	}
}

// Which ways there are is said for each reference, and why there is none.
func TestWays(t *testing.T) {
	all := strings.Join([]string{WayPostRender, WayKustomize}, ",")
	for name, want := range map[string]map[string]string{
		"hooks-and-tests":     {"ghcr.io/acme/hook:1": WayPostRender4 + "," + WayKustomize, "ghcr.io/acme/test:1": WayPostRender4, "ghcr.io/acme/plain:1": all},
		"a-list-with-anchors": {"ghcr.io/acme/one:1": WayPostRender3 + "," + WayKustomize},
		"two-alike":           {"ghcr.io/acme/one:1": WayPostRender, "ghcr.io/acme/two:1": WayPostRender},
		"without-a-name":      {"ghcr.io/acme/one:1": WayPostRender},
		"upgrades":            {"ghcr.io/acme/later:1": WayPostRender, "ghcr.io/acme/plain:1": all},
		"in-strings":          {"ghcr.io/acme/two:2": all, "ghcr.io/acme/three:3": all, "ghcr.io/acme/six:6": all, "ghcr.io/acme/ten:10": all},
	} {
		dir := regtest.Folder(t, "-- Chart.yaml --\napiVersion: v2\nname: "+name+"\nversion: 1.0.0\n-- templates/all.yaml --\n"+hardCharts[name])
		c, o := emitFixture(t, dir)
		for _, l := range c.Left {
			if w, ok := want[l.raw]; ok && strings.Join(l.Needs, ",") != w {
				t.Errorf("%s: %s: moved by %q, want %q", name, l.raw, l.Needs, w)
			}
			delete(want, l.raw)
		}
		if len(want) > 0 {
			t.Errorf("%s: not left: %v", name, want)
		}
		r := c.Report(o)
		if warned := len(r.Warnings) > 0; warned != (name != "hooks-and-tests" && name != "in-strings" && name != "upgrades") {
			t.Errorf("%s: warnings %q", name, r.Warnings)
		}
		if folder := slices.Contains(regtest.Files(t, o.OutputDir), filepath.Join("rel", "kustomize", "all.yaml")); folder != (r.Kustomize != "") || folder != c.any(WayKustomize) {
			t.Errorf("%s: kustomize folder %v, command %q", name, folder, r.Kustomize)
		}
	}
}

// The folder that a fixture's files are written to can be written again.
func TestWriteAgain(t *testing.T) {
	c, o := emitFixture(t, "../../../testdata/charts/hardcoded")
	first := regtest.Files(t, o.OutputDir)
	changed, err := Write([]*Chart{c}, nil, nil, o)
	if err != nil || changed != nil {
		t.Fatal(changed, err)
	}
	regtest.WantFiles(t, o.OutputDir, first...)
	if !slices.Contains(first, disk.ListName) || !slices.Contains(first, filepath.Join("rel", "rewrite.map")) {
		t.Errorf("files %q", first)
	}
}
