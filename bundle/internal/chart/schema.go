package chart

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	helm "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
)

// An UnreadSchema is a schema file of which Helm would load a part from somewhere
// else: it fails where it cannot, unless told to skip schemas.
type UnreadSchema struct {
	File string // app/charts/sub/values.schema.json
	URL  string // http, https or file
}

// checkSchema checks the values against values.schema.json of the chart and of
// its dependencies. Unlike chartutil.ValidateAgainstSchema it never follows a
// $ref or $schema to the network or to files of this machine: what such a reference
// points to accepts everything here, and is returned.
func (c *Chart) checkSchema(h *helm.Chart, render chartutil.Values) ([]UnreadSchema, error) {
	values, err := render.Table("Values")
	if err != nil {
		return nil, nil // no values, nothing to check
	}
	s := &schemaCheck{chart: c}
	s.check(h, h.Name(), values)
	if len(s.problems) == 0 {
		return s.unread, nil
	}
	return nil, errors.New("the values do not fit the chart's schema: " + strings.Join(s.problems, "; "))
}

// A schemaCheck collects what is wrong with the values of a chart.
type schemaCheck struct {
	chart    *Chart
	problems []string
	unread   []UnreadSchema
}

func (s *schemaCheck) check(h *helm.Chart, dir string, values map[string]any) {
	if len(h.Schema) > 0 {
		k := s.chart.schema(h.Schema)
		for _, url := range k.unread {
			s.unread = append(s.unread, UnreadSchema{dir + "/values.schema.json", url})
		}
		if err := k.validate(values); err != nil {
			s.problems = append(s.problems, fmt.Sprintf("%s: %v", h.Name(), err))
		}
	}
	for _, dep := range h.Dependencies() {
		raw, ok := values[dep.Name()]
		if !ok || raw == nil {
			continue
		}
		sub, ok := raw.(map[string]any)
		if !ok {
			s.problems = append(s.problems, fmt.Sprintf("%s: values are a %T, not a map", dep.Name(), raw))
			continue
		}
		s.check(dep, dir+"/charts/"+dep.Name(), sub)
	}
}

// A schema is one that was compiled, and what of it was not read.
type schema struct {
	validator *jsonschema.Schema
	unread    []string
	err       error
}

// schema compiles a schema once.
func (c *Chart) schema(text []byte) *schema {
	key := &text[0] // the files of a chart stay where they are
	if k, ok := c.schemas.Load(key); ok {
		return k.(*schema)
	}
	k := &schema{}
	k.validator, k.unread, k.err = compileSchema(text)
	c.schemas.Store(key, k)
	return k
}

// validate checks values against one schema.
func (k *schema) validate(values map[string]any) (err error) {
	if k.err != nil {
		return fmt.Errorf("values.schema.json: %w", k.err)
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("schema cannot be used: %v", r)
		}
	}()
	var invalid *jsonschema.ValidationError
	if err := k.validator.Validate(values); errors.As(err, &invalid) {
		return errors.New(schemaMessage(invalid))
	} else if err != nil {
		return err
	}
	return nil
}

// schemaName is where Helm thinks that a schema lies.
const schemaName = "file:///values.schema.json"

// compileSchema compiles with documents from elsewhere that accept everything, and
// once more without references to them if that fails: they may point to what cannot
// stand in such a document. It returns the URLs of those that Helm would load.
func compileSchema(text []byte) (compiled *jsonschema.Schema, unread []string, err error) {
	defer func() {
		if r := recover(); r != nil {
			compiled, unread, err = nil, nil, fmt.Errorf("schema cannot be used: %v", r)
		}
	}()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, nil, err
	}
	away := &elsewhere{docs: map[string]map[string]any{}, asked: map[string]bool{}}
	if base, err := url.Parse(schemaName); err == nil {
		away.collect(doc, base)
	}
	compile := func(doc any) (*jsonschema.Schema, error) {
		compiler := jsonschema.NewCompiler()
		compiler.UseLoader(away)
		if err := compiler.AddResource(schemaName, doc); err != nil {
			return nil, err
		}
		return compiler.Compile(schemaName)
	}
	compiled, err = compile(doc)
	if err != nil {
		again, second := compile(withoutRemote(doc))
		if second != nil {
			return nil, nil, err
		}
		compiled = again
		for u := range away.docs { // it may have stopped before the others
			away.asked[u] = true
		}
	}
	for u := range away.asked {
		if !strings.HasPrefix(u, "urn:") { // Helm accepts everything there, too
			unread = append(unread, u)
		}
	}
	slices.Sort(unread)
	return compiled, unread, nil
}

// elsewhere stands for all documents that are not in the chart. It notes which of
// them are asked for.
type elsewhere struct {
	docs  map[string]map[string]any // by URL: what references point to
	asked map[string]bool
}

// Load returns a schema that accepts everything, and has the parts that are
// referred to.
func (e *elsewhere) Load(url string) (any, error) {
	e.asked[url] = true
	if doc := e.docs[url]; doc != nil {
		return doc, nil
	}
	return map[string]any{}, nil
}

// collect notes what references below v point to.
func (e *elsewhere) collect(v any, base *url.URL) {
	switch v := v.(type) {
	case map[string]any:
		if id, ok := v["$id"].(string); ok {
			if u, err := base.Parse(id); err == nil {
				base = u
			}
		}
		for k, x := range v {
			if ref, ok := x.(string); ok && (k == "$ref" || k == "$dynamicRef" || k == "$recursiveRef") {
				if u, err := base.Parse(ref); err == nil {
					e.point(u, base)
				}
			}
			e.collect(x, base)
		}
	case []any:
		for _, x := range v {
			e.collect(x, base)
		}
	}
}

// point makes the document of a reference have the part that it points to.
func (e *elsewhere) point(ref, base *url.URL) {
	fragment := ref.Fragment
	doc, own := *ref, *base
	doc.Fragment, doc.RawFragment, own.Fragment, own.RawFragment = "", "", "", ""
	if doc.String() == own.String() {
		return
	}
	at := e.docs[doc.String()]
	if at == nil {
		at = map[string]any{}
		e.docs[doc.String()] = at
	}
	steps, anchor := []string{"$defs", fragment}, fragment
	if pointer, ok := strings.CutPrefix(fragment, "/"); ok {
		steps, anchor = strings.Split(pointer, "/"), ""
	} else if fragment == "" {
		return
	}
	for _, step := range steps {
		step = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
		next, ok := at[step].(map[string]any)
		if !ok {
			next = map[string]any{}
			at[step] = next
		}
		at = next
	}
	if anchor != "" {
		at["$anchor"] = anchor
	}
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
