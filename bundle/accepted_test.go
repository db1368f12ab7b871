package bundle

import (
	"path/filepath"
	"strings"
	"testing"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/source"
	"bundle/testdata/regtest"
)

// openChart is a chart with one image that can be pulled, and one text where
// another program puts an image.
func openChart(kind, text string) string {
	return `
-- Chart.yaml --
apiVersion: v2
name: app
version: 1.0.0
-- values.yaml --
registry: ghcr.io
-- templates/deployment.yaml --
apiVersion: v1
kind: Pod
metadata:
  name: app
spec:
  containers:
    - name: app
      image: {{ .Values.registry }}/acme/app:1
-- templates/open.yaml --
` + strings.NewReplacer("TEXT", text, "KIND", kind).Replace(`apiVersion: KIND
metadata:
  name: open
spec:
  template:
    spec:
      containers:
        - name: open
          image: TEXT
`)
}

const (
	deployment = "apps/v1\nkind: Deployment"
	workflow   = "argoproj.io/v1alpha1\nkind: WorkflowTemplate"
)

// What a chart leaves open can be answered or ignored; the record says so, and
// both sides are content.
func TestPlaceholdersAreAccepted(t *testing.T) {
	t.Parallel()
	pub := startRegistry(t)
	pushImage(t, pub, "acme/app:1", small(1))
	pushImage(t, pub, "acme/side:1", small(2))
	for _, tc := range []struct{ name, kind, yaml, text string }{
		{"auto", deployment, "auto", "auto"},
		{"expression", workflow, "\"{{`{{workflow.parameters.image}}`}}\"", "{{workflow.parameters.image}}"},
		{"variable", deployment, `"$(IMAGE)"`, "$(IMAGE)"},
		{"upper case", deployment, "ghcr.io/Acme/Side:1", "ghcr.io/Acme/Side:1"},
		{"nothing", deployment, `""`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := ExportOptions{
				Charts: []source.ChartSpec{{Ref: regtest.Folder(t, openChart(tc.kind, tc.yaml))}}, Registry: through(pub), Unsigned: true,
				Output: filepath.Join(t.TempDir(), "open.tar"),
			}
			r, err := Export(t.Context(), o)
			wantError(t, err, fault.Incomplete, tc.text+" (")
			if len(r.Unresolved) != 1 || r.Unresolved[0].Raw != tc.text {
				t.Fatalf("unresolved %+v", r.Unresolved)
			}
			for name, say := range map[string]func(*ExportOptions){
				"ignored":  func(o *ExportOptions) { o.Ignore = []string{tc.text} },
				"excluded": func(o *ExportOptions) { o.Exclude = []string{tc.text} },
				"answered": func(o *ExportOptions) { o.Images = []string{tc.text + "=ghcr.io/acme/side:1"} },
			} {
				t.Run(name, func(t *testing.T) {
					if name == "answered" && tc.text == "" {
						return // nothing cannot be named
					}
					wantAccepted(t, o, say, tc.text, name == "answered")
				})
			}
		})
	}
}

// wantAccepted requires that export and import are content with an open text, and
// that a bundle says that it is.
func wantAccepted(t *testing.T, o ExportOptions, say func(*ExportOptions), text string, answered bool) {
	t.Helper()
	signer, trust := newKey(t)
	o.Output, o.Signer, o.Unsigned = filepath.Join(t.TempDir(), "a.tar"), signer, false
	say(&o)
	r := mustExport(t, o)
	images, answer := 1, ""
	if answered {
		images, answer = 2, "ghcr.io/acme/side:1"
	}
	if len(r.Unresolved) > 0 || len(r.Accepted) != 1 || r.Accepted[0].Answer != answer || len(r.Images) != images {
		t.Errorf("unresolved %+v, accepted %+v, %d images", r.Unresolved, r.Accepted, len(r.Images))
	}
	seen, err := Inspect(t.Context(), o.Output, trust)
	if err != nil {
		t.Fatal(err)
	}
	if len(seen.Accepted) != 1 || seen.Accepted[0].Raw != text || seen.Accepted[0].Answer != answer {
		t.Errorf("the record accepts %+v", seen.Accepted)
	}
	priv := startRegistry(t)
	mustImport(t, o.Output, onto(priv, trust))
}

// An image that is ignored though it can be pulled stays behind, and nobody misses
// it on the other side.
func TestIgnoredImage(t *testing.T) {
	pub := startRegistry(t)
	pushImage(t, pub, "acme/app:1", small(1))
	chart := strings.ReplaceAll(podChart, "replicas: 1\n", "replicas: 1\nsidecar: acme/gone:1\n")
	o := ExportOptions{Charts: []source.ChartSpec{{Ref: regtest.Folder(t, chart)}}, Registry: through(pub)}
	wantAccepted(t, o, func(o *ExportOptions) { o.Ignore = []string{"ghcr.io/acme/gone:1"} }, "ghcr.io/acme/gone:1", false)
}

// What is said of texts that no chart writes is a mistake.
func TestAcceptedNothing(t *testing.T) {
	pub := startRegistry(t)
	pushImage(t, pub, "acme/app:1", small(1))
	o := ExportOptions{Charts: []source.ChartSpec{{Ref: regtest.Folder(t, podChart)}}, Unsigned: true, DryRun: true, Registry: through(pub)}
	o.Ignore = []string{"auto"}
	_, err := Export(t.Context(), o)
	wantError(t, err, fault.Usage, "--ignore auto")
	o.Ignore, o.Images = nil, []string{"auto=ghcr.io/acme/app:1"}
	_, err = Export(t.Context(), o)
	wantError(t, err, fault.Usage, "auto=ghcr.io/acme/app:1")
}
