package chart

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bundle/testdata/judge"
)

func TestSchemaStaysOffline(t *testing.T) {
	for name, ref := range map[string]string{
		"document": "https://schemas.invalid/values.json",
		"fragment": "https://schemas.invalid/values.json#/definitions/x",
		"file":     "file:///etc/passwd",
		"relative": "other.json",
	} {
		t.Run(name, func(t *testing.T) {
			c := open(t, files{
				"values.schema.json": `{"$schema": "https://schemas.invalid/meta", "properties": {"a": {"$ref": "` + ref + `"}, "b": {"type": "integer"}}}`,
				"templates/t.yaml":   "v: 1",
			})
			if _, err := c.Render(t.Context(), RenderOptions{Strict: true, Values: map[string]any{"a": "x"}}); err != nil {
				t.Errorf("what cannot be read must not refuse: %v", err)
			}
			if _, err := c.Render(t.Context(), RenderOptions{Strict: true, Values: map[string]any{"b": "x"}}); err == nil {
				t.Error("the rest of the schema does not count")
			}
		})
	}
}

// What Helm cannot load where there is no network is listed; the real helm is the
// judge of whether there is any.
func TestUnreadSchemas(t *testing.T) {
	const draft = `"$schema": "https://json-schema.org/draft/2020-12/schema"`
	for name, tc := range map[string]struct {
		schema string
		sub    bool // the schema is that of a subchart
		want   []string
	}{
		"nothing":            {schema: `{"type": "object"}`},
		"standard draft":     {schema: `{` + draft + `, "properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {}}}`},
		"old draft":          {schema: `{"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"x": {}}, "properties": {"a": {"$ref": "#/definitions/x"}}}`},
		"draft as reference": {schema: `{"properties": {"a": {"$ref": "http://json-schema.org/draft-07/schema"}}}`},
		"own name":           {schema: `{"$id": "https://example.org/own.json", "$defs": {"x": {}}, "properties": {"a": {"$ref": "own.json#/$defs/x"}}}`},
		"not reached":        {schema: `{"x-notes": {"$ref": "https://example.org/a.json"}}`},
		"document":           {schema: `{` + draft + `, "properties": {"a": {"$ref": "https://example.org/a.json"}}}`, want: []string{"https://example.org/a.json"}},
		"definitions": {
			schema: `{"properties": {"a": {"$ref": "https://example.org/a.json#/definitions/A"}, "b": {"$ref": "https://example.org/a.json#/definitions/B~1b"}, "c": {"items": {"$ref": "http://example.org/c.json#C"}}}}`,
			want:   []string{"http://example.org/c.json", "https://example.org/a.json"},
		},
		"against own name":  {schema: `{"$id": "https://example.org/own.json", "properties": {"a": {"$ref": "other.json#/x"}}}`, want: []string{"https://example.org/other.json"}},
		"meta schema":       {schema: `{"$schema": "https://example.org/meta.json", "type": "object"}`, want: []string{"https://example.org/meta.json"}},
		"file":              {schema: `{"properties": {"a": {"$ref": "a.json"}}}`, want: []string{"file:///a.json"}},
		"name":              {schema: `{"properties": {"a": {"$ref": "urn:example:a"}}}`},
		"awkward fragment":  {schema: `{"properties": {"a": {"$ref": "https://example.org/a.json#/allOf/0"}}}`, want: []string{"https://example.org/a.json"}},
		"of a subchart":     {schema: `{"properties": {"a": {"$ref": "https://example.org/a.json"}}}`, sub: true, want: []string{"https://example.org/a.json"}},
		"sub, nothing away": {schema: `{"properties": {"a": {"type": "string"}}}`, sub: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := files{"Chart.yaml": chartYAML("app"), "templates/t.yaml": "v: 1", "charts/sub/Chart.yaml": chartYAML("sub")}
			file := "app/values.schema.json"
			if f["values.schema.json"] = tc.schema; tc.sub {
				f["charts/sub/values.schema.json"], file = tc.schema, "app/charts/sub/values.schema.json"
				delete(f, "values.schema.json")
			}
			var want []UnreadSchema
			for _, url := range tc.want {
				want = append(want, UnreadSchema{file, url})
			}
			dir := folder(t, filepath.Join(t.TempDir(), "app"), f)
			c := fixture(t, dir)
			if d := cmp.Diff(want, render(t, c, RenderOptions{Strict: true}).Unread); d != "" {
				t.Errorf("unread (-want +got):\n%s", d)
			}
			out, err := judge.Ask(t, "helms3", "template", "r", dir)
			if (err != nil) != (len(want) > 0) {
				t.Errorf("helm: %v: %s", err, out)
			}
			if out, err := judge.Ask(t, "helms3", "template", "r", dir, "--skip-schema-validation"); err != nil {
				t.Errorf("helm that skips schemas: %v: %s", err, out)
			}
		})
	}
}
