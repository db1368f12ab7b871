// Mutate changes the code of packages in one place at a time, at random, and runs
// the tests of the package each time. A change that no test notices is printed: it
// is a test that is missing, or code that makes no difference: which one, a reader
// has to say. No file of the tree is touched.
//
//	go run ./.mutate -n 40 ./layout ./bundle/internal/relocate
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A mutant is one change to one file.
type mutant struct {
	pkg, file string // folder and path
	from, to  int    // offsets of what is replaced
	line      int
	with      string
}

func main() {
	n := flag.Int("n", 40, "how many places to change, in all")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "which places: the same number, the same places")
	tests := flag.String("tests", "", "packages whose tests run, separated by commas (default: that of the change)")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "usage: mutate [-n N] [-seed N] [-tests PKG,…] FOLDER…")
		os.Exit(2)
	}
	if err := run(flag.Args(), *n, *seed, strings.FieldsFunc(*tests, func(r rune) bool { return r == ',' })); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(folders []string, n int, seed uint64, tests []string) error {
	var all []mutant
	for _, dir := range folders {
		found, err := mutants(dir)
		if err != nil {
			return err
		}
		all = append(all, found...)
		own := tests
		if len(own) == 0 {
			own = []string{"./" + filepath.Clean(dir)}
		}
		if out, err := test(context.Background(), "", own).CombinedOutput(); err != nil {
			return fmt.Errorf("without any change: %w\n%s", err, out)
		}
	}
	dice := rand.New(rand.NewPCG(seed, 0))
	dice.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	work, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	tried, survivors := 0, 0
	for _, m := range all {
		if tried == n {
			break
		}
		verdict, text, err := m.judge(work, tests)
		if err != nil {
			return err
		}
		if verdict == invalid {
			continue // it does not compile
		}
		tried++
		if verdict == unnoticed {
			survivors++
			fmt.Printf("%s:%d: %s\n", m.file, m.line, text)
		}
	}
	fmt.Printf("%d of %d changes in %d places were not noticed (-seed %d)\n", survivors, tried, len(all), seed)
	return nil
}

// test is a run of the tests of packages, with an overlay or none.
func test(ctx context.Context, overlay string, packages []string) *exec.Cmd {
	return exec.CommandContext(ctx, "go", append([]string{
		"test", "-vet=off", "-short", "-failfast", "-timeout", "2m", "-overlay", overlay}, packages...)...)
}

type verdict int

const (
	invalid verdict = iota
	noticed
	unnoticed
)

// judge runs the tests with the change, which text shows.
func (m mutant) judge(work string, tests []string) (v verdict, text string, err error) {
	source, err := os.ReadFile(m.file)
	if err != nil {
		return invalid, "", err
	}
	changed := filepath.Join(work, "changed.go")
	out := append(append(append([]byte{}, source[:m.from]...), m.with...), source[m.to:]...)
	if err := os.WriteFile(changed, out, 0o600); err != nil {
		return invalid, "", err
	}
	path, err := filepath.Abs(m.file)
	if err != nil {
		return invalid, "", err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{path: changed}})
	if err != nil {
		return invalid, "", err
	}
	list := filepath.Join(work, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		return invalid, "", err
	}
	text = fmt.Sprintf("%s → %s", short(string(source[m.from:m.to])), short(m.with))
	if exec.Command("go", "build", "-overlay", list, "./"+m.pkg).Run() != nil {
		return invalid, text, nil
	}
	if len(tests) == 0 {
		tests = []string{"./" + m.pkg}
	}
	// A change may loop for ever, or take all memory.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if test(ctx, list, tests).Run() != nil {
		return noticed, text, nil
	}
	return unnoticed, text, nil
}

// short is the beginning of a text, on one line.
func short(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 60 {
		s = string(r[:60]) + "…"
	}
	return strconv.Quote(s)
}

// mutants lists what can be changed in the Go files of a folder, tests left out.
func mutants(dir string) (all []mutant, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		add := func(from, to token.Pos, with string) {
			all = append(all, mutant{filepath.Clean(dir), name, fset.Position(from).Offset, fset.Position(to).Offset, fset.Position(from).Line, with})
		}
		ast.Inspect(f, func(n ast.Node) bool {
			change(n, add)
			return true
		})
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: nothing to change", dir)
	}
	return all, nil
}

// others are what an operator is taken for.
var others = map[token.Token]token.Token{
	token.EQL: token.NEQ, token.NEQ: token.EQL, token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR,
	token.LAND: token.LOR, token.LOR: token.LAND, token.ADD: token.SUB, token.SUB: token.ADD,
}

// change proposes what a node may be replaced by.
func change(n ast.Node, add func(from, to token.Pos, with string)) {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		if other, ok := others[n.Op]; ok {
			add(n.OpPos, n.OpPos+token.Pos(len(n.Op.String())), other.String())
		}
	case *ast.UnaryExpr:
		if n.Op == token.NOT {
			add(n.OpPos, n.OpPos+1, "")
		}
	case *ast.IfStmt:
		if _, call := n.Cond.(*ast.CallExpr); call {
			add(n.Cond.Pos(), n.Cond.Pos(), "!")
		}
	case *ast.ReturnStmt:
		for _, r := range n.Results {
			if id, ok := r.(*ast.Ident); ok && id.Name == "err" {
				add(r.Pos(), r.End(), "nil")
			} else if ok && (id.Name == "true" || id.Name == "false") {
				add(r.Pos(), r.End(), strconv.FormatBool(id.Name == "false"))
			}
		}
	case *ast.ExprStmt:
		add(n.Pos(), n.End(), "_ = 0")
	case *ast.BranchStmt:
		if n.Label == nil && n.Tok == token.CONTINUE {
			add(n.Pos(), n.End(), "_ = 0")
		}
	case *ast.BasicLit:
		if v, err := strconv.Atoi(n.Value); n.Kind == token.INT && err == nil {
			add(n.Pos(), n.End(), strconv.Itoa(v+1))
		}
	}
}
