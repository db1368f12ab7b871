package emit

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/relocate"
	"bundle/testdata/regtest"
)

// Files are named after resources, whatever these are called.
func TestResourceNames(t *testing.T) {
	long := strings.Repeat("n", 300)
	text := "---\nkind: A\nmetadata: {name: " + long + "}\n---\nx: 1\n---\ny: 1\n---\nkind: A\nmetadata: {name: ../../x}\n" +
		"---\nkind: A\nmetadata: {name: " + long + "m}\n---\nkind: a\nmetadata: {name: x-2}\n---\nkind: a\nmetadata: {name: x}\n---\nkind: a\nmetadata: {name: x}\n"
	ch, err := chart.Load(context.Background(), chart.Source{Ref: regtest.Folder(t, "-- Chart.yaml --\napiVersion: v2\nname: app\nversion: 1.0.0\n-- templates/x.yaml --\n"+text)}, chart.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c := &Chart{Chart: ch, result: new(relocate.Result)}
	if c.output, err = ch.Render(context.Background(), chart.RenderOptions{}); err != nil {
		t.Fatal(err)
	}
	c.rewritten = c.output
	names := slices.Sorted(maps.Keys(c.resources(KeepSecrets)))
	if want := []string{
		"a-.._.._x.yaml", "a-" + long[:238] + "-2.yaml", "a-" + long[:238] + ".yaml", "a-x-2.yaml", "a-x-3.yaml", "a-x.yaml", "manifest-2.yaml", "manifest.yaml",
	}; !slices.Equal(names, want) {
		t.Errorf("%q\nwant\n%q", names, want)
	}
}
