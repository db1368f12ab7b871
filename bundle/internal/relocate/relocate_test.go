package relocate

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/written"
)

var update = flag.Bool("update", false, "write the golden files anew; read them afterwards, they are specifications")

const (
	chartsDir = "../../../testdata/charts"
	registry  = "registry.plant.local:5000/apps"
)

// A golden is one derivation that is written down in testdata. Every chart of
// chartsDir has one with the defaults; variants are listed in goldens.
type golden struct {
	name     string // of the file
	chart    string // folder
	registry string // default registry
	keepHost bool
	flat     bool // one part of host and path
	values   map[string]any
	kube     string
	digests  map[string]string // digest in the chart → digest in the target
	named    map[string]string // raw → target, before the usual rule
	leave    string            // prefix of references that stay
	secret   string            // name of the pull secret
}

var variants = []golden{
	{name: "kube-version-1.29", chart: "kube-version", kube: "v1.29.4"},
	{name: "needs-values-given", chart: "needs-values", values: map[string]any{"storage": map[string]any{"bucket": "traces"}}},
	{name: "collision-keep-host", chart: "collision", keepHost: true},
	{name: "global-subcharts-keep-host", chart: "global-subcharts", keepHost: true},
	{name: "operator-keep-host", chart: "operator", registry: "reg.local", keepHost: true},
	{name: "global-subcharts-disabled", chart: "global-subcharts", values: map[string]any{"grafter": map[string]any{"enabled": false}}},
	{name: "alias-disabled", chart: "alias", values: map[string]any{"queue": map[string]any{"enabled": false}}},
	{name: "components-given", chart: "components", values: map[string]any{"components": []any{
		map[string]any{"name": "search", "image": "ghcr.io/acme/search:2", "replicas": 3},
	}}},
	{name: "digest-pins-platform", chart: "digest-pins", digests: map[string]string{
		"sha256:0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0": "sha256:c0ffee0000000000000000000000000000000000000000000000000000000001",
		"sha256:1111111122222222333333334444444455555555666666667777777788888888": "sha256:c0ffee0000000000000000000000000000000000000000000000000000000002",
		"sha256:aaaaaaaabbbbbbbbccccccccddddddddeeeeeeeeffffffff0000000011111111": "sha256:c0ffee0000000000000000000000000000000000000000000000000000000003",
	}},
	{name: "numeric-tag-named", chart: "numeric-tag", named: map[string]string{
		"quay.io/acme/ledger:1": "registry.plant.local:5000/apps/books/ledger:1.0-plant",
	}},
	{name: "operator-flat", chart: "operator", flat: true},
	{name: "nested-flat", chart: "nested", flat: true},
	{name: "hub-flat", chart: "hub", flat: true},
	{name: "shared-registry-flat", chart: "shared-registry", flat: true},
	{name: "shared-path-flat", chart: "shared-path", flat: true},
	{name: "operator-named", chart: "operator", named: map[string]string{
		"ghcr.io/acme/gateway:2.7.0":   "registry.plant.local:5000/apps/edge/door:2.7.0",
		"docker.io/nats:2.12.8-alpine": "registry.plant.local:5000/apps/bus/nats:2-plant",
	}},
	{name: "hooks-left-alone", chart: "hooks", leave: "docker.io/"},
	{name: "reasons-short", chart: "reasons", registry: "reg.local"},
	{name: "absent-global-local", chart: "absent-global", registry: "localhost:5000"},
	{name: "pull-secrets-named", chart: "pull-secrets", secret: "plant"},
	{name: "pull-secrets-given", chart: "pull-secrets", secret: "plant", values: map[string]any{
		"global": map[string]any{"imagePullSecrets": []any{map[string]any{"name": "mine"}}},
		"worker": map[string]any{"pullSecrets": []any{"mine", "other"}},
	}},
	{name: "secret-shapes-named", chart: "secret-shapes", secret: "plant"},
	{name: "secret-shapes-given", chart: "secret-shapes", secret: "plant", values: map[string]any{
		"single": map[string]any{"imagePullSecret": "mine"},
	}},
	{name: "secret-schema-named", chart: "secret-schema", secret: "plant"},
	{name: "secret-global-named", chart: "secret-global", secret: "plant"},
	{name: "hooks-named", chart: "hooks", leave: "docker.io/", secret: "plant"},
	{name: "components-named", chart: "components", secret: "plant"},
}

func goldens(t testing.TB) []golden {
	t.Helper()
	dirs, err := os.ReadDir(chartsDir)
	if err != nil {
		t.Fatal(err)
	}
	var all []golden
	for _, d := range dirs {
		if d.IsDir() {
			all = append(all, golden{name: d.Name(), chart: d.Name()})
		}
	}
	all = append(all, variants...)
	for i := range all {
		if all[i].registry == "" {
			all[i].registry = registry
		}
	}
	return all
}

func (g golden) request(t testing.TB) Request {
	t.Helper()
	c, err := chart.Load(t.Context(), chart.Source{Ref: filepath.Join(chartsDir, g.chart)}, chart.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return Request{
		Chart:  c,
		Render: chart.RenderOptions{Values: g.values, ReleaseName: "demo", KubeVersion: g.kube},
		Target: func(raw string) (string, bool) {
			if g.leave != "" && strings.HasPrefix(raw, g.leave) {
				return "", false
			}
			if target, ok := g.named[raw]; ok {
				return target, true
			}
			target := written.Target(raw, g.registry, g.keepHost || g.flat)
			if name, below := strings.CutPrefix(target, g.registry+"/"); below && g.flat {
				target = g.registry + "/" + strings.ReplaceAll(name, "/", "--")
			}
			for from, to := range g.digests {
				target = strings.ReplaceAll(target, from, to)
			}
			return target, true
		},
		PullSecret: g.secret,
	}
}

func TestDerive(t *testing.T) {
	for _, g := range goldens(t) {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			req := g.request(t)
			res, err := Derive(t.Context(), req)
			var got []byte
			if err != nil {
				var re *chart.RenderError
				if !errors.As(err, &re) {
					t.Fatal(err)
				}
				got = fmt.Appendf(nil, "# error\n%v\n# value that is missing\n%s\n", err, re.Value)
			} else {
				got = describe(t, req, res)
			}
			file := filepath.Join("testdata", g.name+".golden")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("differs from %s (-want +got):\n%s", file, diff)
			}
		})
	}
}

// Every golden file belongs to a case.
func TestGoldenFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/*.golden")
	if err != nil {
		t.Fatal(err)
	}
	all := goldens(t)
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".golden")
		if !slices.ContainsFunc(all, func(g golden) bool { return g.name == name }) {
			t.Errorf("%s belongs to no test", f)
		}
	}
}

// describe writes down what was found, what moved, what is left, what else
// changed, which lines of the manifests still name a public registry, and the
// values file.
func describe(t *testing.T, req Request, r *Result) []byte {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("# moved\n")
	for _, m := range r.Moved {
		fmt.Fprintf(&b, "%-10s %s\n    at %s\n    to %s\n    by %s\n", m.Confidence, m.Raw, m.Position, m.Target, strings.Join(m.Keys, ", "))
	}
	b.WriteString("# left\n")
	for _, l := range r.Left {
		fmt.Fprintf(&b, "%-10s %s\n    at %s\n    %s\n", l.Confidence, l.Raw, l.Position, l.Reason)
	}
	if len(r.Named) > 0 {
		b.WriteString("# named\n")
		for _, n := range r.Named {
			fmt.Fprintf(&b, "%s\n    at %s\n    reads %s by %s\n", n.Raw, n.Position, n.Reads, strings.Join(n.Keys, ", "))
		}
	}
	if len(r.Altered) > 0 {
		b.WriteString("# altered\n")
		for _, a := range r.Altered {
			fmt.Fprintf(&b, "%s\n    %q\n    %q\n    by %s\n", a.Position, a.Before, a.After, strings.Join(a.Keys, ", "))
		}
	}
	for _, key := range r.Unlocked {
		fmt.Fprintf(&b, "# unlocked\n%s\n", key)
	}
	for i, m := range r.Remarks {
		if i == 0 {
			b.WriteString("# remarks\n")
		}
		fmt.Fprintf(&b, "%s %s\n    at %s\n", m.About, m.Text, m.Position)
	}
	b.WriteString("# changed\n")
	for _, c := range r.Changed {
		fmt.Fprintf(&b, "%s\n    %q\n    %q\n", c.Position, c.Before, c.After)
	}
	if req.PullSecret != "" {
		b.WriteString("# pull secret\n")
		for _, m := range r.Secrets {
			through := ""
			if m.Through != (chart.Position{}) {
				through = m.Through.String()
			}
			fmt.Fprintf(&b, "%s\n    through %q by %s\n", m.Position, through, strings.Join(m.Keys, ", "))
		}
		b.WriteString("# no pull secret\n")
		for _, l := range r.SecretsLeft {
			fmt.Fprintf(&b, "%s\n    %s\n", l.Position, l.Reason)
		}
	}
	b.WriteString("# lines that name a public registry\n")
	for _, line := range foreign(t, req, r) {
		b.WriteString(line + "\n")
	}
	b.WriteString("# values\n")
	b.Write(FormatYAML(r, []string{"Values for " + req.Chart.Name() + " " + req.Chart.Version()}))
	return b.Bytes()
}

var publicHost = regexp.MustCompile(`(?:^|[^\w.-])(?:docker\.io|quay\.io|ghcr\.io|registry\.k8s\.io|registry\.gitlab\.com|registry\.acme\.dev)(?:$|[^\w.-])`)

// foreign renders from nothing with the overrides, and searches the text.
func foreign(t *testing.T, req Request, r *Result) []string {
	t.Helper()
	opt := req.Render
	opt.Strict = true
	opt.Values = chart.Merge(opt.Values, r.Overrides)
	out, err := req.Chart.Render(t.Context(), opt)
	if err != nil {
		t.Fatalf("with the derived values: %v", err)
	}
	var lines []string
	for _, m := range out.Manifests {
		for line := range strings.Lines(m.Raw) {
			if publicHost.MatchString(line) {
				lines = append(lines, m.Template+": "+strings.TrimSpace(line))
			}
		}
	}
	return lines
}

var paths = cmp.AllowUnexported(chart.Path{})

// Verify comes to the same result from the overrides alone.
func TestVerify(t *testing.T) {
	for _, g := range goldens(t) {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			req := g.request(t)
			derived, err := Derive(t.Context(), req)
			if err != nil {
				if _, err := Verify(t.Context(), req, nil); err == nil {
					t.Error("Verify renders what Derive does not")
				}
				return
			}
			verified, err := Verify(t.Context(), req, derived.Overrides)
			if err != nil {
				t.Fatal(err)
			}
			for i := range derived.Moved {
				derived.Moved[i].Keys = nil // only Derive knows them
			}
			for i := range derived.Left {
				derived.Left[i].Reason, derived.Left[i].Keys, derived.Left[i].Asks = "", nil, "" // Derive knows more
			}
			for i := range verified.Left {
				verified.Left[i].Reason = ""
			}
			if diff := cmp.Diff(derived.Moved, verified.Moved, paths); diff != "" {
				t.Errorf("moved (-Derive +Verify):\n%s", diff)
			}
			if diff := cmp.Diff(derived.Left, verified.Left, paths); diff != "" {
				t.Errorf("left (-Derive +Verify):\n%s", diff)
			}
			for i := range derived.Secrets {
				derived.Secrets[i].Keys = nil
			}
			if diff := cmp.Diff(derived.Secrets, verified.Secrets, paths); diff != "" {
				t.Errorf("pull secret (-Derive +Verify):\n%s", diff)
			}
			if diff := cmp.Diff(derived.Changed, verified.Changed, paths); diff != "" {
				t.Errorf("changed (-Derive +Verify):\n%s", diff)
			}
			for i := range derived.Altered {
				derived.Altered[i].Keys = nil
			}
			if diff := cmp.Diff(derived.Altered, verified.Altered, paths); diff != "" {
				t.Errorf("altered (-Derive +Verify):\n%s", diff)
			}
		})
	}
}

// The file is minimal: without any one of its keys something is not moved, or
// the chart does not render.
func TestMinimal(t *testing.T) {
	for _, g := range goldens(t) {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			req := g.request(t)
			res, err := Derive(t.Context(), req)
			if err != nil {
				return
			}
			for _, key := range res.Keys {
				v, err := Verify(t.Context(), req, cut(res.Overrides, key))
				if err == nil && len(v.Moved) >= len(res.Moved) && len(v.Secrets) >= len(res.Secrets) && movedHosts(v) >= movedHosts(res) {
					t.Errorf("%s is not needed", key)
				}
			}
		})
	}
}

func movedHosts(r *Result) int {
	n := 0
	for _, h := range r.Named {
		if h.Reads != h.Raw {
			n++
		}
	}
	return n
}

// Given as values, the derived ones leave nothing to do.
func TestDeriveAgain(t *testing.T) {
	for _, g := range goldens(t) {
		if g.digests != nil || g.named != nil {
			continue // these map what is there already once more
		}
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			req := g.request(t)
			first, err := Derive(t.Context(), req)
			if err != nil {
				return
			}
			req.Render.Values = chart.Merge(req.Render.Values, first.Overrides)
			second, err := Derive(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			want := pinned(first)
			for _, l := range first.Left {
				if l.Reason == reasonNew && strings.HasPrefix(l.Raw, g.registry) {
					want++ // it came with the values
				}
			}
			if len(second.Keys) != 0 || pinned(second) != want {
				t.Errorf("a second run sets %v and finds %d in place, want none and %d", second.Keys, pinned(second), want)
			}
		})
	}
}

// pinned counts what moved and has a tag or digest: on a host like that of the
// target, nothing else can be told for a reference.
func pinned(r *Result) int {
	n := 0
	for _, m := range r.Moved {
		if ref := written.Cut(m.Raw); ref.Tag != "" || ref.Digest != "" {
			n++
		}
	}
	return n
}

// cut returns values without the key; a path through a list loses the list.
func cut(values map[string]any, key string) map[string]any {
	values = chart.Clone(values).(map[string]any)
	key, _, _ = strings.Cut(key, "[")
	steps := strings.Split(strings.ReplaceAll(key, `\.`, "\x00"), ".")
	m := values
	for i, s := range steps {
		s = strings.ReplaceAll(s, "\x00", ".")
		if i == len(steps)-1 {
			delete(m, s)
			break
		}
		m = m[s].(map[string]any)
	}
	return values
}

// What Verify is for: values that do not do what they should.
func TestVerifyFindsWhatIsWrong(t *testing.T) {
	req := golden{chart: "operator", registry: registry}.request(t)
	image := func(registry string) map[string]any {
		return map[string]any{"image": map[string]any{"registry": registry}}
	}
	// The documented key, which this chart never looks at.
	res, err := Verify(t.Context(), req, map[string]any{"global": image(registry)})
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Moved) != 0 || len(res.Left) != 7 {
		t.Errorf("global key: %d moved and %d left, want 0 and 7", len(res.Moved), len(res.Left))
	}
	// The wrong registry.
	res, err = Verify(t.Context(), req, map[string]any{"nats": image("registry.plant.local:5000"), "gateway": image(registry)})
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Moved) != 1 || res.Moved[0].Raw != "ghcr.io/acme/gateway:2.7.0" {
		t.Errorf("moved %v, want the gateway alone", res.Moved)
	}
	i := slices.IndexFunc(res.Left, func(l Left) bool { return l.Raw == "docker.io/nats:2.12.8-alpine" })
	if i < 0 || res.Left[i].Reads != "registry.plant.local:5000/nats:2.12.8-alpine" {
		t.Errorf("left %v, want nats with what it reads", res.Left)
	}
	// Something else changes.
	res, err = Verify(t.Context(), req, map[string]any{"operator": map[string]any{"replicas": 3}})
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Altered) != 1 || res.Altered[0].Path.String() != "spec.replicas" || res.Altered[0].After != "3" {
		t.Errorf("altered %v, want spec.replicas", res.Altered)
	}
}

func TestDeriveStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	req := golden{chart: "operator", registry: registry}.request(t)
	cancel()
	if _, err := Derive(ctx, req); !errors.Is(err, context.Canceled) {
		t.Errorf("Derive after cancel: %v", err)
	}
}

func BenchmarkDerive(b *testing.B) {
	for _, g := range goldens(b) {
		if g.name == "needs-values" {
			continue // needs-values-given is the one that renders
		}
		b.Run(g.name, func(b *testing.B) {
			req := g.request(b)
			var renders int
			for b.Loop() {
				res, err := Derive(b.Context(), req)
				if err != nil {
					b.Fatal(err)
				}
				renders = res.Renders
			}
			b.ReportMetric(float64(renders), "renders")
		})
	}
}
