package relocate

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bundle/bundle/internal/chart"
)

// What was proved is a strict render of exactly the values that are emitted.
func TestProved(t *testing.T) {
	c := inline(t, map[string]string{
		"values.yaml":      "image: ghcr.io/acme/app:1\nside: ghcr.io/acme/side:2\nn: 1\n",
		"templates/t.yaml": "kind: Pod\nmetadata: {name: '{{ .Values.n }}'}\nspec: {containers: [{name: a, image: '{{ .Values.image }}'}, {name: b, image: '{{ .Values.side }}'}]}\n",
	})
	given := map[string]any{"n": 2.0}
	res, err := Derive(t.Context(), Request{Chart: c, Target: toPlant, Render: chart.RenderOptions{Values: given}})
	if err != nil {
		t.Fatal(err)
	}
	proof := res.Proved(chart.Merge(given, res.Overrides))
	if proof == nil {
		t.Fatal("the values that were found are not proved")
	}
	out, err := c.Render(t.Context(), chart.RenderOptions{Values: chart.Merge(given, res.Overrides), Strict: true, Occasions: true})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(out.Like(res.Before).Leaves(), proof.Leaves()); diff != "" {
		t.Errorf("the proof is another render: %s", diff)
	}
	for name, other := range map[string]map[string]any{
		"without what is given": res.Overrides,
		"without the overrides": given,
		"with more":             chart.Merge(chart.Merge(given, res.Overrides), map[string]any{"more": true}),
		"of another type":       chart.Merge(res.Overrides, map[string]any{"n": 2}),
	} {
		if res.Proved(other) != nil {
			t.Errorf("values %s pass for proved", name)
		}
	}
}

// A refusal that the fast checks cannot know of, as it comes with a key that they do not
// generate, is found by the proof, and the key that brings it about is left out.
func TestRefusedByProofAlone(t *testing.T) {
	c := inline(t, map[string]string{
		"values.yaml": "image: ghcr.io/acme/app:1\nside: ghcr.io/acme/side:2\n",
		"templates/t.yaml": `{{ $key := genPrivateKey "ecdsa" }}{{ if ne .Values.side "ghcr.io/acme/side:2" }}{{ fail "side has to stay" }}{{ end }}` +
			"kind: Pod\nspec: {containers: [{name: a, image: '{{ .Values.image }}'}, {name: b, image: '{{ .Values.side }}'}]}\n",
	})
	values := chart.RenderOptions{Values: map[string]any{"side": "x.example/side:2"}, Checks: true}
	if _, err := c.Render(t.Context(), values); err != nil {
		t.Fatalf("the checks know of the refusal: %v", err)
	}
	res, err := Derive(t.Context(), Request{Chart: c, Target: toPlant})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"ghcr.io/acme/side:2: the chart refuses the key that would move it: side"}
	if got := reasons(res); !slices.Equal(got, want) || !slices.Equal(res.Keys, []string{"image"}) {
		t.Errorf("left %q by %v, want %q", got, res.Keys, want)
	}
}
