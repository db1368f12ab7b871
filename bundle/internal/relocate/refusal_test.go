package relocate

import (
	"slices"
	"strings"
	"testing"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/written"
)

// withSchema is a chart with one template and a schema.
func withSchema(t *testing.T, values, schema, template string) *chart.Chart {
	t.Helper()
	return inline(t, map[string]string{"values.yaml": values, "values.schema.json": schema, "templates/t.yaml": template})
}

// reasons lists what is left, each as reference: reason.
func reasons(r *Result) []string {
	var list []string
	for _, l := range r.Left {
		list = append(list, l.Raw+": "+l.Reason)
	}
	return list
}

// A chart that refuses the tag or digest that a target has leaves one reference,
// after a few renders: what it refused is not tried again.
func TestRefusedPin(t *testing.T) {
	const values = "image: {registry: ghcr.io, repository: acme/app, tag: v1}\nside: {image: 'ghcr.io/acme/side:2'}\n"
	const schema = `{"properties": {"image": {"properties": {"tag": {"pattern": "^v1$"}}}}}`
	const pod = "kind: Pod\nspec: {containers: [{name: a, image: '{{ .Values.image.registry }}/{{ .Values.image.repository }}:{{ .Values.image.tag }}'}, {name: b, image: '{{ .Values.side.image }}'}]}\n"
	res, err := Derive(t.Context(), Request{
		Chart: withSchema(t, values, schema, pod),
		Target: func(raw string) (string, bool) {
			return strings.ReplaceAll(written.Target(raw, registry, false), "app:v1", "app:plant"), true
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"ghcr.io/acme/app:v1: the chart refuses the key that would move it: image.tag"}
	if got := reasons(res); !slices.Equal(got, want) {
		t.Errorf("left %q, want %q", got, want)
	}
	if len(res.Moved) != 1 || res.Short || res.Renders > 30 {
		t.Errorf("moved %d, short %v, after %d renders", len(res.Moved), res.Short, res.Renders)
	}
}

// The same for a setting that names the registry, on which nothing depends.
func TestRefusedHost(t *testing.T) {
	const values = "image: ghcr.io/acme/app:1\ncontroller: {registry: ghcr.io}\n"
	const schema = `{"properties": {"controller": {"properties": {"registry": {"enum": ["ghcr.io"]}}}}}`
	const pod = "kind: Pod\nspec: {containers: [{name: a, image: '{{ .Values.image }}', env: [{name: PULL_REGISTRY, value: '{{ .Values.controller.registry }}'}]}]}\n"
	res, err := Derive(t.Context(), Request{Chart: withSchema(t, values, schema, pod), Target: toPlant})
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Moved) != 1 || !slices.Equal(res.Keys, []string{"image"}) || res.Short {
		t.Errorf("moved %d by %v, short %v", len(res.Moved), res.Keys, res.Short)
	}
	if len(res.Named) != 1 || res.Named[0].Raw != "ghcr.io" || res.Named[0].Reads != "ghcr.io" {
		t.Errorf("named %+v, want the setting as it was", res.Named)
	}
}

// A tag is changed only where the rest of the reference is at its target already.
func TestPinsOnlyOfWhatMoved(t *testing.T) {
	const values = "image: {repository: ghcr.io/acme/app, tag: v1}\nfixed: {tag: v2}\n"
	const pod = "kind: Pod\nspec: {containers: [{name: a, image: '{{ .Values.image.repository }}:{{ .Values.image.tag }}'}, {name: b, image: 'ghcr.io/acme/fixed:{{ .Values.fixed.tag }}'}]}\n"
	res, err := Derive(t.Context(), Request{
		Chart: inline(t, map[string]string{"values.yaml": values, "templates/t.yaml": pod}),
		Target: func(raw string) (string, bool) {
			return written.Target(raw, registry, false) + "-plant", true
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"image.repository", "image.tag"}; !slices.Equal(res.Keys, want) {
		t.Errorf("keys %v, want %v", res.Keys, want)
	}
	if len(res.Left) != 1 || res.Left[0].Reads != "ghcr.io/acme/fixed:v2" {
		t.Errorf("left %+v, want the one in the template as it was", res.Left)
	}
}

// Where nothing moved, no tag is looked for.
func TestNoPinsWithoutMoves(t *testing.T) {
	const values = "tag: v2\n"
	const pod = "kind: Pod\nspec: {containers: [{name: a, image: 'ghcr.io/acme/fixed:{{ .Values.tag }}'}]}\n"
	renders := func(suffix string) int {
		res, err := Derive(t.Context(), Request{
			Chart:  inline(t, map[string]string{"values.yaml": values, "templates/t.yaml": pod}),
			Target: func(raw string) (string, bool) { return written.Target(raw, registry, false) + suffix, true },
		})
		if err != nil {
			t.Fatal(err)
		}
		return res.Renders
	}
	if same, other := renders(""), renders("-plant"); other != same {
		t.Errorf("%d renders with another tag, %d with the same", other, same)
	}
}

// A value that moves a reference that has to stay is not set, however many others it
// moves.
func TestStaysWhereItIs(t *testing.T) {
	const values = "registry: ghcr.io\n"
	const pod = "kind: Pod\nspec: {containers: [{name: a, image: '{{ .Values.registry }}/acme/a:1'}, {name: b, image: '{{ .Values.registry }}/acme/b:1'}, {name: stay, image: '{{ .Values.registry }}/acme/stay:1'}]}\n"
	res, err := Derive(t.Context(), Request{
		Chart: inline(t, map[string]string{"values.yaml": values, "templates/t.yaml": pod}),
		Target: func(raw string) (string, bool) {
			return written.Target(raw, registry, false), !strings.Contains(raw, "stay")
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Keys) != 0 || len(res.Moved) != 0 || len(res.Left) != 3 {
		t.Errorf("%v moves %d and leaves %d", res.Keys, len(res.Moved), len(res.Left))
	}
	for _, l := range res.Left {
		if l.Reads != l.Raw {
			t.Errorf("%s reads %s", l.Raw, l.Reads)
		}
	}
}

// Probing ends after so many renders with what was found until then, and says so.
func TestEnoughRenders(t *testing.T) {
	old := maxRenders
	defer func() { maxRenders = old }()
	req := golden{chart: "global-subcharts", registry: registry}.request(t)
	whole, err := Derive(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if whole.Short {
		t.Fatal("short with all renders it wants")
	}
	for maxRenders = 1; maxRenders < whole.Renders; maxRenders++ {
		res, err := Derive(t.Context(), req)
		if err != nil {
			t.Fatalf("%d renders: %v", maxRenders, err)
		}
		proof, err := Verify(t.Context(), req, res.Overrides)
		if err != nil {
			t.Fatalf("%d renders: %v", maxRenders, err)
		}
		if len(proof.Moved) != len(res.Moved) || len(res.Moved)+len(res.Left) != len(whole.Moved)+len(whole.Left) {
			t.Errorf("%d renders: %d moved, proved %d; %d left", maxRenders, len(res.Moved), len(proof.Moved), len(res.Left))
		}
		if !res.Short && len(res.Moved) < len(whole.Moved) {
			t.Errorf("%d renders: %d of %d moved, and not short", maxRenders, len(res.Moved), len(whole.Moved))
		}
	}
}
