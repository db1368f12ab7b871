package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"bundle/bundle/reports"
	"bundle/testdata/regtest"
)

var update = flag.Bool("update", false, "write the schema of documents anew")

const schemaFile = "guides/report.schema.json"

// documents are the objects that commands print, by command.
var documents = map[string]any{
	"check":     jsonCheck{},
	"diff":      jsonDiff{},
	"export":    jsonExport{},
	"images":    jsonImages{},
	"import":    jsonImport{},
	"inspect":   jsonInspect{},
	"inventory": jsonInventory{},
	"merge":     jsonMerge{},
	"keygen":    jsonKeygen{},
	"sign":      jsonSign{},
	"status":    jsonStatus{},
	"values":    jsonValues{},
	"verify":    jsonVerify{},
	"version":   versionReport{},
}

// The schema is that of the types, with their comments.
func TestSchema(t *testing.T) {
	b, err := json.MarshalIndent(makeSchema(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	b = append(b, '\n')
	if *update {
		if err := os.WriteFile(schemaFile, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := regtest.ReadFile(t, schemaFile); string(b) != want {
		t.Errorf("%s is not that of the types: go test ./cmd/bundle -run TestSchema -update", schemaFile)
	}
}

// A schemer turns types into a schema.
type schemer struct {
	t    *testing.T
	docs map[string]string // type, or type.field
	defs map[string]any
}

func makeSchema(t *testing.T) map[string]any {
	s := &schemer{t: t, docs: comments(t), defs: make(map[string]any)}
	failed := s.of(reflect.TypeFor[failure]())
	var alternatives []any
	for _, name := range slices.Sorted(maps.Keys(documents)) {
		def := s.object(reflect.TypeOf(documents[name]))
		props := def["properties"].(map[string]schemaOf)
		props["schemaVersion"] = schemaOf{"const": reports.SchemaVersion}
		props["command"] = schemaOf{"const": name}
		props["error"] = failed
		def["required"] = append([]string{"schemaVersion", "command"}, def["required"].([]string)...)
		s.defs[name] = def
		alternatives = append(alternatives, schemaOf{"$ref": "#/$defs/" + name})
	}
	s.defs["failed"] = schemaOf{
		"description": "a command that failed, and has nothing else to report",
		"type":        "object", "additionalProperties": false, "required": []string{"schemaVersion", "command", "error"},
		"properties": map[string]schemaOf{"schemaVersion": {"const": reports.SchemaVersion}, "command": {"type": "string"}, "error": failed},
	}
	s.defs["receipt"] = s.object(reflect.TypeFor[reports.Receipt]())
	alternatives = append(alternatives, schemaOf{"$ref": "#/$defs/failed"}, schemaOf{"$ref": "#/$defs/receipt"})
	return map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"title":   "What bundle prints with --json, and its receipts",
		"anyOf":   alternatives,
		"$defs":   s.defs,
	}
}

// schemaOf is one schema.
type schemaOf = map[string]any

// of is the schema of a type.
func (s *schemer) of(t reflect.Type) schemaOf {
	switch t {
	case reflect.TypeFor[time.Time]():
		return schemaOf{"type": "string", "format": "date-time"}
	case reflect.TypeFor[reports.State]():
		return schemaOf{"enum": []string{"present", "pushed", "replaced", "refused", "missing", "changed", "outside", "added", "removed", "would push", "would replace"}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.String:
		return schemaOf{"type": "string"}
	case reflect.Bool:
		return schemaOf{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return schemaOf{"type": "integer"}
	case reflect.Slice:
		return schemaOf{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		return schemaOf{"type": "object"}
	case reflect.Interface:
		return schemaOf{}
	case reflect.Struct:
		name := strings.ToLower(strings.TrimPrefix(t.Name(), "json")[:1]) + strings.TrimPrefix(t.Name(), "json")[1:]
		if _, known := s.defs[name]; !known {
			s.defs[name] = nil // in work
			s.defs[name] = s.object(t)
		}
		return schemaOf{"$ref": "#/$defs/" + name}
	}
	s.t.Fatalf("no schema for %s", t)
	return nil
}

// object is the schema of a struct. Keys that are not listed are no part of it.
func (s *schemer) object(t reflect.Type) schemaOf {
	props, required := make(map[string]schemaOf), []string{}
	var walk func(t reflect.Type)
	walk = func(t reflect.Type) {
		for i := range t.NumField() {
			f := t.Field(i)
			tag, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			if f.Anonymous && tag == "" {
				walk(f.Type)
				continue
			}
			if tag == "" || tag == "-" {
				s.t.Errorf("%s.%s has no key", t, f.Name)
				continue
			}
			prop := s.of(f.Type)
			if doc := s.docs[t.Name()+"."+f.Name]; doc != "" {
				prop = maps.Clone(prop)
				prop["description"] = doc
			}
			props[tag] = prop
			optional := options != ""
			if list := f.Type.Kind() == reflect.Slice || f.Type.Kind() == reflect.Map; optional && list {
				s.t.Errorf("%s.%s: a list is never absent", t, f.Name)
			}
			if !optional {
				required = append(required, tag)
			}
		}
	}
	walk(t)
	def := schemaOf{"type": "object", "properties": props, "required": required, "additionalProperties": false}
	if doc := s.docs[t.Name()]; doc != "" {
		def["description"] = doc
	}
	return def
}

// comments reads what stands beside the fields and above the types.
func comments(t *testing.T) map[string]string {
	docs := make(map[string]string)
	for _, file := range []string{"words.go", "output.go", "root.go", "check.go", "status.go", "inventory.go", "diffjson.go", "merge.go", "../../bundle/reports/reports.go", "../../bundle/internal/emit/receipt.go",
		"../../bundle/internal/fault/items.go", "../../bundle/internal/media/media.go", "../../bundle/internal/image/referrers.go", "../../bundle/internal/chart/repository.go", "../../bundle/internal/trust/trust.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			d, ok := n.(*ast.GenDecl)
			if !ok {
				return true
			}
			for _, spec := range d.Specs {
				typ, ok := spec.(*ast.TypeSpec)
				if !ok {
					continue
				}
				st, ok := typ.Type.(*ast.StructType)
				if !ok {
					continue
				}
				_, text, _ := strings.Cut(strings.TrimSpace(d.Doc.Text()), " is ")
				docs[typ.Name.Name] = strings.TrimSuffix(strings.Join(strings.Fields(text), " "), ".")
				for _, field := range st.Fields.List {
					for _, name := range field.Names {
						docs[typ.Name.Name+"."+name.Name] = strings.TrimSpace(field.Comment.Text())
					}
				}
			}
			return true
		})
	}
	return docs
}

// validate requires that a report is what the schema says.
func validate(doc []byte) error {
	b, err := os.ReadFile(schemaPath)
	if err != nil {
		return err
	}
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		return err
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("report.json", schema); err != nil {
		return err
	}
	compiled, err := c.Compile("report.json")
	if err != nil {
		return err
	}
	report, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err != nil {
		return err
	}
	return compiled.Validate(report)
}

// schemaPath does not depend on the folder that a test runs in.
var schemaPath = func() string {
	dir, err := os.Getwd()
	if err != nil {
		return schemaFile
	}
	return dir + "/" + schemaFile
}()
