package chart

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	helm "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
)

// checkSchema checks the values against values.schema.json of the chart and of
// its dependencies. Unlike chartutil.ValidateAgainstSchema it never follows a
// $ref to the network or to files of this machine: what such a reference points
// to accepts everything here.
func checkSchema(h *helm.Chart, render chartutil.Values) error {
	values, err := render.Table("Values")
	if err != nil {
		return nil // no values, nothing to check
	}
	var problems []string
	collectSchemaProblems(h, values, &problems)
	if len(problems) == 0 {
		return nil
	}
	return errors.New("the values do not fit the chart's schema: " + strings.Join(problems, "; "))
}

func collectSchemaProblems(h *helm.Chart, values map[string]any, problems *[]string) {
	if h.Schema != nil {
		if err := validate(h.Schema, values); err != nil {
			*problems = append(*problems, fmt.Sprintf("%s: %v", h.Name(), err))
		}
	}
	for _, dep := range h.Dependencies() {
		raw, ok := values[dep.Name()]
		if !ok || raw == nil {
			continue
		}
		sub, ok := raw.(map[string]any)
		if !ok {
			*problems = append(*problems, fmt.Sprintf("%s: values are a %T, not a map", dep.Name(), raw))
			continue
		}
		collectSchemaProblems(dep, sub, problems)
	}
}

// validate checks values against one schema.
func validate(schema []byte, values map[string]any) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("schema cannot be used: %v", r)
		}
	}()
	validator, err := compileSchema(schema)
	if err != nil {
		return fmt.Errorf("values.schema.json: %w", err)
	}
	var invalid *jsonschema.ValidationError
	if err := validator.Validate(values); errors.As(err, &invalid) {
		return errors.New(schemaMessage(invalid))
	} else if err != nil {
		return err
	}
	return nil
}

// compileSchema compiles with references to other documents accepted as they
// are, and once more without them if that fails: they may point into documents
// that are not there.
func compileSchema(schema []byte) (*jsonschema.Schema, error) {
	const name = "chart:///values.schema.json"
	compile := func(doc any) (*jsonschema.Schema, error) {
		compiler := jsonschema.NewCompiler()
		compiler.UseLoader(acceptAll{})
		if err := compiler.AddResource(name, doc); err != nil {
			return nil, err
		}
		return compiler.Compile(name)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return nil, err
	}
	compiled, err := compile(doc)
	if err == nil {
		return compiled, nil
	}
	if compiled, again := compile(withoutRemote(doc)); again == nil {
		return compiled, nil
	}
	return nil, err
}

// withoutRemote copies a schema without $schema and without each $ref that
// leads out of it.
func withoutRemote(v any) any {
	switch v := v.(type) {
	case map[string]any:
		c := make(map[string]any, len(v))
		for k, e := range v {
			s, isText := e.(string)
			if isText && (k == "$schema" || k == "$ref" && !strings.HasPrefix(s, "#")) {
				continue
			}
			c[k] = withoutRemote(e)
		}
		return c
	case []any:
		l := make([]any, len(v))
		for i, e := range v {
			l[i] = withoutRemote(e)
		}
		return l
	}
	return v
}

// schemaMessage puts the library's indented list of violations on one line.
func schemaMessage(e *jsonschema.ValidationError) string {
	lines := strings.Split(e.Error(), "\n")
	var parts []string
	for _, l := range lines[1:] { // the first names the schema
		if l = strings.TrimLeft(strings.TrimSpace(l), "- "); l != "" {
			parts = append(parts, l)
		}
	}
	return strings.Join(parts, ", ")
}

// acceptAll resolves every reference to another document to the schema "true".
type acceptAll struct{}

func (acceptAll) Load(string) (any, error) { return true, nil }
