package main

import (
	"go/ast"
	"go/token"
	"regexp"
	"strconv"
	"testing"
)

// Every regular expression that is compiled when it is first asked for is one.
func TestLazyExpressions(t *testing.T) {
	constants := make(map[string]map[string]ast.Expr) // of each package
	for _, s := range sources(t) {
		if constants[s.pkg] == nil {
			constants[s.pkg] = make(map[string]ast.Expr)
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if v, ok := n.(*ast.ValueSpec); ok && len(v.Names) == len(v.Values) {
				for i, name := range v.Names {
					constants[s.pkg][name.Name] = v.Values[i]
				}
			}
			return true
		})
	}
	found := 0
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || !isLazy(call.Fun) {
				return true
			}
			found++
			text, known := constant(constants[s.pkg], call.Args[0])
			if !known {
				t.Errorf("%s: not a constant", s.fset.Position(call.Pos()))
			}
			if _, err := regexp.Compile(text); err != nil {
				t.Errorf("%s: %v", s.fset.Position(call.Pos()), err)
			}
			return true
		})
	}
	if found < 50 {
		t.Errorf("only %d expressions found", found)
	}
}

func isLazy(f ast.Expr) bool {
	sel, ok := f.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && x.Name == "lazy" && sel.Sel.Name == "Regexp"
}

// constant returns the text that an expression is: a literal, a constant's name, or
// several in a row.
func constant(known map[string]ast.Expr, e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil
	case *ast.Ident:
		value, ok := known[e.Name]
		if !ok {
			return "", false
		}
		return constant(known, value)
	case *ast.BinaryExpr:
		x, okX := constant(known, e.X)
		y, okY := constant(known, e.Y)
		return x + y, okX && okY && e.Op == token.ADD
	}
	return "", false
}
