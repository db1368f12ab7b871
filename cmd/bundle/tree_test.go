package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A source is one parsed file of the module, tests left out.
type source struct {
	path string // from the top of the module
	pkg  string // folder
	file *ast.File
	fset *token.FileSet
}

const top = "../.."

// tops are the folders of the module that have packages. To list the top itself would
// make what builds and git leave there an input of these tests, and go test would never
// take their results from its cache. A folder that is missed here has no arrow to it.
var tops = []string{"bundle", "checksum", "cmd", "layout", "testdata"}

func sources(t *testing.T) []source {
	t.Helper()
	all, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("only %d files found: looked in the wrong place", len(all))
	}
	return all
}

// parsed is read once for all tests.
var parsed = sync.OnceValues(func() ([]source, error) {
	var all []source
	for _, dir := range tops {
		err := filepath.WalkDir(filepath.Join(top, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(top, path)
			all = append(all, source{rel, filepath.ToSlash(filepath.Dir(rel)), f, fset})
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
})

// Data flows one way, down this list: a package imports only what stands below
// it, and of that no more than is named here. The leaves know nothing of each
// other.
func TestImportDirections(t *testing.T) {
	const module = "bundle/"
	house := []struct {
		pkg string
		may string // packages of this module it may import, of bundle/internal by their last name
	}{
		{"cmd/bundle", "bundle bundle/reports"},
		{"cmd/bench", "testdata/regtest testdata/medium layout/parity"},
		{"cmd/demo", "testdata/regtest"},
		{"testdata/hostile", "checksum"},
		{"testdata/regtest", ""},
		{"testdata/medium", ""},
		{"testdata/relay", ""},
		{"testdata/judge", ""},
		{"bundle", "bundle/reports carried media nodes layout layout/parts check stock inventory history serve page diff emit transfer kit push plan place open source cosign image trust record name disk progress fault relocate chart remote words input checksum"},
		{"bundle/reports", "check nodes diff history emit rewrite transfer kit media push place open source cosign image trust record fault chart remote words layout/parts"},
		{"bundle/internal/check", "emit place record name chart remote words"},
		{"bundle/internal/page", "diff trust record fault words"},
		{"bundle/internal/diff", "words carried open record name chart layout"},
		{"bundle/internal/emit", "carried rewrite nodes push place open source trust record name disk fault relocate chart remote input words checksum layout/strict lazy"},
		{"bundle/internal/transfer", "media plan open trust record progress fault remote checksum layout layout/parity layout/parts"},
		{"bundle/internal/plan", "source chart image record name fault checksum layout"},
		{"bundle/internal/source", "image imagefile record name fault written relocate chart remote input"},
		{"bundle/internal/carried", "open record progress fault chart"},
		{"bundle/internal/relocate", "written chart name lazy"},
		{"bundle/internal/chart", "written child name fault lazy"},
		// What stands below knows nothing of Helm, by whatever way: records, keys and images
		// are data, and Helm brings Kubernetes, which takes seconds to link.
		{"bundle/internal/serve", "place open record name fault layout"},
		{"bundle/internal/stock", "history place inventory name remote layout"},
		{"bundle/internal/history", "words push place open image trust record name fault remote layout/strict lazy"},
		{"bundle/internal/push", "place open record progress fault remote words layout"},
		{"bundle/internal/place", "open record name fault written"},
		{"bundle/internal/rewrite", "written name fault lazy"},
		{"bundle/internal/open", "inventory image trust record name progress fault checksum layout layout/parts"},
		{"bundle/internal/media", "disk progress fault layout layout/parity layout/parts lazy"},
		{"bundle/internal/kit", "disk fault checksum"},
		{"bundle/internal/cosign", "image record fault remote input layout/strict"},
		{"bundle/internal/image", "record name fault remote layout"},
		{"bundle/internal/imagefile", "name fault layout"},
		{"bundle/internal/inventory", "trust record name disk fault input checksum layout/strict"},
		{"bundle/internal/nodes", ""},
		{"bundle/internal/words", ""},
		{"bundle/internal/trust", "record disk fault input checksum"},
		{"bundle/internal/record", "name fault layout/strict"},
		{"bundle/internal/disk", "fault layout"},
		{"bundle/internal/progress", ""},
		{"bundle/internal/child", ""},
		{"bundle/internal/remote", "name fault lazy"},
		{"bundle/internal/written", "name lazy"},
		{"bundle/internal/name", ""},
		{"bundle/internal/lazy", ""},
		{"bundle/internal/input", "fault"},
		{"bundle/internal/fault", ""},
		{"checksum", ""},
		{"layout/parts", "layout layout/parity layout/strict"},
		{"layout/parity", ""},
		{"layout", "layout/strict"},
		{"layout/strict", ""},
	}
	rank := make(map[string]int)
	allowed := make(map[string][]string)
	for i, room := range house {
		rank[room.pkg] = i
	}
	for i, room := range house {
		allowed[room.pkg] = nil
		for _, pkg := range strings.Fields(room.may) {
			if _, inside := rank["bundle/internal/"+pkg]; inside {
				pkg = "bundle/internal/" + pkg
			}
			if below, known := rank[pkg]; !known || below <= i {
				t.Errorf("%s may import %s, which does not stand below it", room.pkg, pkg)
			}
			allowed[room.pkg] = append(allowed[room.pkg], pkg)
		}
	}
	owned := map[string][]string{ // prefix of a dependency → the packages that may import it
		"helm.sh/":   {"bundle/internal/chart"},
		"k8s.io/":    nil, // as much of it as Helm brings
		"oras.land/": {"bundle/internal/remote"},
		// References are parsed in one place.
		"github.com/distribution/reference": {"bundle/internal/name"},
		// These bring a whole Kubernetes client, which doubles what has to be compiled.
		"helm.sh/helm/v3/pkg/action":             nil,
		"helm.sh/helm/v3/pkg/cli":                nil,
		"helm.sh/helm/v3/pkg/downloader":         nil,
		"helm.sh/helm/v3/pkg/getter":             nil,
		"helm.sh/helm/v3/pkg/repo":               nil,
		"github.com/google/go-containerregistry": {"testdata/regtest"},
		"github.com/hanwen/":                     {"testdata/medium"},
		"github.com/spf13/":                      {"cmd/bundle"},
		"github.com/schollz/":                    {"cmd/bundle"},
		"golang.org/x/term":                      {"cmd/bundle"},
		"net/http":                               {"bundle/internal/remote", "bundle/internal/serve", "testdata/regtest", "cmd/bench"},
		"net":                                    {"bundle/internal/remote", "bundle/internal/serve", "testdata/regtest", "cmd/bundle"},
	}
	used := make(map[string]bool)
	for _, s := range sources(t) {
		may, known := allowed[s.pkg]
		if !known {
			t.Errorf("%s: package %s has no place in the architecture", s.path, s.pkg)
			continue
		}
		for _, spec := range s.file.Imports {
			path := strings.Trim(spec.Path.Value, `"`)
			if own, inside := strings.CutPrefix(path, module); inside {
				used[s.pkg+" "+own] = true
				if !slices.Contains(may, own) {
					t.Errorf("%s imports %s", s.path, path)
				}
			}
			for prefix, owners := range owned {
				if (path == prefix || strings.HasSuffix(prefix, "/") && strings.HasPrefix(path, prefix) ||
					strings.HasPrefix(path, prefix+"/") && prefix != "net") && !slices.Contains(owners, s.pkg) {
					t.Errorf("%s imports %s, which only these may: %s", s.path, path, strings.Join(owners, ", "))
				}
			}
		}
	}
	// An arrow that nobody needs is not allowed to stand: somebody would take it.
	for pkg, list := range allowed {
		for _, own := range list {
			if !used[pkg+" "+own] {
				t.Errorf("%s may import %s, but does not", pkg, own)
			}
		}
	}
}

// Only main ends the process.
func TestOnlyMainExits(t *testing.T) {
	for _, s := range sources(t) {
		if filepath.Base(s.path) == "main.go" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok {
					switch x.Name + "." + sel.Sel.Name {
					case "os.Exit", "log.Fatal", "log.Fatalf":
						t.Errorf("%s calls %s.%s", s.fset.Position(n.Pos()), x.Name, sel.Sel.Name)
					}
				}
			}
			return true
		})
	}
}

// Files stay short enough to read at once, functions short enough to see.
func TestSizes(t *testing.T) {
	const maxFile, maxFunc, p95Func = 500, 80, 60
	var lengths []int
	for _, s := range sources(t) {
		if n := s.fset.File(s.file.Pos()).LineCount(); n > maxFile {
			t.Errorf("%s has %d lines, more than %d", s.path, n, maxFile)
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			n := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1
			lengths = append(lengths, n)
			if n > maxFunc {
				t.Errorf("%s: %s has %d lines, more than %d", s.path, f.Name.Name, n, maxFunc)
			}
		}
	}
	slices.Sort(lengths)
	if p := lengths[len(lengths)*95/100]; p > p95Func {
		t.Errorf("95 %% of functions have up to %d lines, more than %d", p, p95Func)
	}
}

// Every package says what it is for.
func TestPackageDocs(t *testing.T) {
	documented := make(map[string]bool)
	for _, s := range sources(t) {
		documented[s.pkg] = documented[s.pkg] || s.file.Doc != nil && len(s.file.Doc.Text()) > 80
	}
	for pkg, ok := range documented {
		if !ok {
			t.Errorf("package %s has no documentation", pkg)
		}
	}
}
