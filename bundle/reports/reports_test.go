package reports

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// A program that passes on what it finds in a report can name its type: whatever
// reports consist of has a name here, or in package bundle.
func TestEveryTypeHasAName(t *testing.T) {
	named := names(t)
	seen := make(map[reflect.Type]bool)
	var walk func(typ reflect.Type, where string)
	walk = func(typ reflect.Type, where string) {
		if seen[typ] {
			return
		}
		seen[typ] = true
		pkg := typ.PkgPath()
		if typ.Name() != "" && strings.HasPrefix(pkg, "bundle/") && pkg != "bundle/bundle/reports" && !named[filepath.Base(pkg)+"."+typ.Name()] {
			t.Errorf("%s is a %s, which has no name here", where, typ)
		}
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
			walk(typ.Elem(), where)
		case reflect.Struct:
			for i := range typ.NumField() {
				if f := typ.Field(i); f.IsExported() {
					walk(f.Type, typ.String()+"."+f.Name)
				}
			}
		}
	}
	for _, r := range []any{
		Blobs{}, Check{}, Diff{}, Export{}, Images{}, Import{}, Inspect{}, Inventory{}, Merge{}, Protect{},
		RegistryDiff{}, Repair{}, Serve{}, Sign{}, Split{}, Status{}, Values{}, Verify{}, Receipt{},
	} {
		walk(reflect.TypeOf(r), "it")
	}
}

// names are the types of other packages that this one and package bundle give a name.
func names(t *testing.T) map[string]bool {
	t.Helper()
	all := make(map[string]bool)
	for _, path := range []string{"reports.go", "../api.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok && spec.Assign.IsValid() {
				if sel, ok := spec.Type.(*ast.SelectorExpr); ok {
					all[sel.X.(*ast.Ident).Name+"."+sel.Sel.Name] = true
				}
			}
			return true
		})
	}
	return all
}
