package emit

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"

	"bundle/bundle/internal/disk"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/remote"
	"bundle/testdata/judge"
	"bundle/testdata/regtest"
)

// readObjects reads the objects of a file, and judges those of Flux and Argo CD by
// their published schemas, which refuse unknown fields.
func readObjects(t *testing.T, path string) map[string]map[string]any {
	t.Helper()
	all := make(map[string]map[string]any)
	dec := yaml.NewDecoder(strings.NewReader(regtest.ReadFile(t, path)))
	for {
		var o map[string]any
		if dec.Decode(&o) != nil {
			break
		}
		b, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		var plain map[string]any
		if err := json.Unmarshal(b, &plain); err != nil {
			t.Fatal(err)
		}
		kind := plain["kind"].(string)
		all[kind] = plain
		if slices.Contains([]string{"OCIRepository", "HelmRelease", "Application"}, kind) {
			s, err := jsonschema.NewCompiler().Compile(filepath.Join("testdata", "crds", strings.ToLower(kind)+".json"))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Validate(plain); err != nil {
				t.Errorf("%s: %v\n%s", path, err, b)
			}
		}
	}
	if len(all) == 0 {
		t.Fatalf("%s: no objects", path)
	}
	return all
}

// at reads what stands at a path of keys.
func at(o map[string]any, keys ...string) any {
	var v any = o
	for _, k := range keys {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[k]
	}
	return v
}

func wantAt(t *testing.T, o map[string]any, want any, keys ...string) {
	t.Helper()
	if got := at(o, keys...); !reflect.DeepEqual(got, want) {
		t.Errorf("%s %s is %v, want %v", o["kind"], strings.Join(keys, "."), got, want)
	}
}

func allGitOps(c *Chart, o *Options) {
	c.Record.Digest = digest.FromString(c.Record.Name)
	o.GitOps = []string{Flux, ArgoCD, Kustomize}
}

func TestGitOps(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, []byte("PEM\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	dir := regtest.Folder(t, "-- Chart.yaml --\napiVersion: v2\nname: app\nversion: 1.0.0\n-- values.yaml --\nimage: {registry: ghcr.io, tag: 1}\n"+
		"-- templates/all.yaml --\nkind: Pod\napiVersion: v1\nmetadata: {name: p}\nspec: {containers: [{name: a, image: '{{ .Values.image.registry }}/acme/app:{{ .Values.image.tag }}'}]}\n")
	c, o := emitFixture(t, dir, allGitOps, func(c *Chart, o *Options) {
		c.Record.Values = map[string]any{"image": map[string]any{"tag": int64(20240101)}, "list": []any{int64(20240102)}, "user": "x"}
		c.Record.Set = record.ExactIntegers(c.Record.Values)
		o.PullSecret, o.Access = "regcred", remote.Options{CAFile: ca}
	})
	fluxFile := filepath.Join(o.OutputDir, "rel", "flux", "release.yaml")
	flux := readObjects(t, fluxFile)
	repository, release := flux["OCIRepository"], flux["HelmRelease"]
	wantAt(t, repository, "oci://"+judgeRegistry+"/charts/app", "spec", "url")
	wantAt(t, repository, c.Record.Digest.String(), "spec", "ref", "digest")
	wantAt(t, repository, "regcred", "spec", "secretRef", "name")
	wantAt(t, repository, "rel-registry-certs", "spec", "certSecretRef", "name")
	wantAt(t, flux["Secret"], "PEM\n", "stringData", "ca.crt")
	wantAt(t, flux["Secret"], "rel-registry-certs", "metadata", "name")
	wantAt(t, repository, nil, "spec", "insecure")
	wantAt(t, release, "rel", "spec", "chartRef", "name")
	wantAt(t, release, map[string]any{"registry": judgeRegistry}, "spec", "values", "image")
	wantAt(t, release, "x", "spec", "values", "user")
	wantAt(t, release, nil, "spec", "postRenderers")
	// A number that a float would change comes from elsewhere, with its path.
	wantAt(t, flux["ConfigMap"], map[string]any{"0": "20240101"}, "data")
	wantAt(t, release, []any{map[string]any{"kind": "ConfigMap", "name": "rel-exact-values", "valuesKey": "0", "targetPath": "image.tag"}}, "spec", "valuesFrom")

	app := readObjects(t, filepath.Join(o.OutputDir, "rel", "argocd", "application.yaml"))
	wantAt(t, app["Application"], judgeRegistry+"/charts", "spec", "source", "repoURL")
	wantAt(t, app["Secret"], judgeRegistry+"/charts", "stringData", "url")
	wantAt(t, app["Application"], "app", "spec", "source", "chart")
	wantAt(t, app["Application"], judgeRegistry, "spec", "source", "helm", "valuesObject", "image", "registry")
	wantAt(t, app["Application"], []any{map[string]any{"name": "image.tag", "value": "20240101"}, map[string]any{"name": "list[0]", "value": "20240102"}}, "spec", "source", "helm", "parameters")

	r := c.Report(o)
	if want := []string{"rel/argocd/application.yaml", "rel/flux/release.yaml", "rel/overlays/production/kustomization.yaml", "rel/overlays/staging/kustomization.yaml"}; !slices.Equal(r.GitOps, want) {
		t.Errorf("files %q", r.GitOps)
	}
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "list[0]") {
		t.Errorf("warnings %q", r.Warnings)
	}
	if st, err := os.Stat(fluxFile); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v: it holds what was given", st.Mode(), err)
	}
}

// What Flux is said to move it moves, and whatever it and Argo CD leave outside is
// named; kustomize builds every overlay. Judged over charts that are hard.
func TestGitOpsJudged(t *testing.T) {
	kustomize := judge.Path(t, "kustomize")
	names := maps.Clone(hardCharts)
	for _, fixture := range []string{"hardcoded", "operator", "hooks"} {
		names[fixture] = ""
	}
	for name, text := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := "../../../testdata/charts/" + name
			if text != "" {
				dir = regtest.Folder(t, "-- Chart.yaml --\napiVersion: v2\nname: "+name+"\nversion: 1.0.0\n-- templates/all.yaml --\n"+text)
			}
			c, o := emitFixture(t, dir, allGitOps, func(_ *Chart, o *Options) { o.Environments = []string{"test"} })
			release := readObjects(t, filepath.Join(o.OutputDir, "rel", "flux", "release.yaml"))["HelmRelease"]
			app := readObjects(t, filepath.Join(o.OutputDir, "rel", "argocd", "application.yaml"))["Application"]
			if skips := at(app, "spec", "source", "helm", "skipSchemaValidation") == true; skips != (name == "schema-elsewhere") || skips != (at(release, "spec", "install") != nil) {
				t.Errorf("skips the check of schemas: %v", skips)
			}
			stream := ask(t, nil, "helms3", "template", "rel", dir, "--kube-version", c.Record.KubeVersion, "--skip-schema-validation", "-f", filepath.Join(o.OutputDir, "rel", "values.yaml"))
			c.judgeFlux(t, kustomize, release, stream, c.Report(o).Warnings)
			overlay := filepath.Join(o.OutputDir, "rel", "overlays", "test")
			if c.unbuildable != "" {
				if _, err := os.Stat(overlay); err == nil {
					t.Error("an overlay over nothing")
				}
				return
			}
			c.outside(t, "kustomize", run(t, nil, kustomize, "build", overlay), WayKustomize)
		})
	}
}

// judgeFlux carries out the images: of a HelmRelease as Flux does.
func (c *Chart) judgeFlux(t *testing.T, kustomize string, release map[string]any, stream string, warnings []string) {
	t.Helper()
	if renderers, ok := at(release, "spec", "postRenderers").([]any); ok {
		wantAt(t, release, "combined", "spec", "postRenderStrategy")
		k, err := yaml.Marshal(object{"resources": []string{"all.yaml"}, "images": at(renderers[0].(map[string]any), "kustomize", "images")})
		if err != nil {
			t.Fatal(err)
		}
		if c.unbuildable != "" { // Flux knows documents by their places
			return
		}
		dir := t.TempDir()
		if _, err := disk.Replace(dir, map[string]disk.File{"kustomization.yaml": {Content: k}, "all.yaml": {Content: []byte(stream)}}); err != nil {
			t.Fatal(err)
		}
		stream = run(t, nil, kustomize, "build", dir)
	}
	for _, raw := range references(t, stream) {
		said := slices.ContainsFunc(warnings, func(w string) bool { return strings.HasPrefix(w, "Flux leaves") && strings.Contains(w, raw) })
		if outside := !strings.HasPrefix(raw, judgeRegistry+"/"); outside != said {
			t.Errorf("%s is outside: %v, said so: %v", raw, outside, said)
		}
	}
	for _, l := range c.Left {
		if l.Target != "" && !slices.ContainsFunc(warnings, func(w string) bool { return strings.HasPrefix(w, "Argo CD") && strings.Contains(w, l.Raw) }) {
			t.Errorf("Argo CD: %s is not named in %q", l.Raw, warnings)
		}
	}
}

func TestCheckGitOps(t *testing.T) {
	for _, bad := range [][2][]string{{{"fluxcd"}, nil}, {{Flux}, {"test"}}, {{Kustomize}, {"../x"}}, {{Kustomize}, {""}}} {
		if err := CheckGitOps(bad[0], bad[1]); fault.KindOf(err) != fault.Usage || err == nil {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if err := CheckGitOps([]string{Flux, Kustomize}, []string{"plant-1"}); err != nil {
		t.Error(err)
	}
}

// Values files hold no null, but where a chart asks for it; then it is said.
func TestNoNulls(t *testing.T) {
	for hasKey, kept := range map[string]bool{"other": false, "command": true} {
		dir := regtest.Folder(t, "-- Chart.yaml --\napiVersion: v2\nname: app\nversion: 1.0.0\n-- values.yaml --\nlist:\n- {image: ghcr.io/acme/app:1, command: null, deep: {one: ~, two: 2}}\n"+
			"-- templates/all.yaml --\nkind: Pod\napiVersion: v1\nmetadata: {name: p}\nspec:\n  containers:\n{{- range .Values.list }}\n  - name: a\n    image: {{ .image }}\n"+
			"    args: [{{ .deep.two | quote }}, {{ hasKey . \""+hasKey+"\" | quote }}]\n{{- end }}\n")
		c, o := emitFixture(t, dir)
		if got := strings.Contains(string(c.Values), "null"); got != kept || len(c.Report(o).Warnings) > 0 != kept || len(c.Left) > 0 {
			t.Errorf("%s: nulls %v, warnings %q, left %v\n%s", hasKey, got, c.Report(o).Warnings, c.Left, c.Values)
		}
	}
}

// What could not be looked into is said.
func TestNotSeen(t *testing.T) {
	dir := regtest.Folder(t, "-- Chart.yaml --\napiVersion: v2\nname: app\nversion: 1.0.0\n-- templates/all.yaml --\n"+
		"{{- if .Release.IsUpgrade }}{{ .Values.a.b.c }}{{ end }}\nkind: ConfigMap\napiVersion: v1\nmetadata: {name: p}\n")
	c, o := emitFixture(t, dir)
	if w := c.Report(o).Warnings; len(w) != 1 || !strings.Contains(w[0], "app/templates/all.yaml was not looked into for upgrades: ") || !strings.Contains(w[0], "nil pointer") {
		t.Errorf("warnings %q", w)
	}
}
