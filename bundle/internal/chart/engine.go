package chart

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"text/template"
	"text/template/parse"

	helm "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"

	"bundle/bundle/internal/lazy"
)

// An engine renders one chart leniently, again and again with other values. It
// gives the text that Helm's engine gives in lint mode, but parses each template
// once, and executes again only those that read a value that changed.
type engine struct {
	ledger ledger

	mu     sync.Mutex
	files  map[*helm.File]chartFiles // by the first file of a chart
	trees  map[string]*fileTrees     // by the name of the template
	sets   map[string]*templateSet
	kept   map[string][]*rendering // by the name of the template, the latest first
	size   int                     // bytes of text in kept
	number int                     // of the next notice

	processed map[uint64]*processed // by the values that decide
	deciders  []decider             // see deciding
	globals   bool
}

// Limits of what an engine keeps.
const (
	maxKept     = 24       // renderings of one template
	maxKeptSize = 64 << 20 // bytes of all texts
	maxTexts    = 16 << 20 // bytes of texts for tpl
)

func newEngine() *engine {
	return &engine{
		files: map[*helm.File]chartFiles{}, trees: map[string]*fileTrees{}, sets: map[string]*templateSet{},
		kept: map[string][]*rendering{}, processed: map[uint64]*processed{},
	}
}

// fileTrees are the templates that one text defines, instrumented.
type fileTrees struct {
	file    *helm.File
	trees   map[string]*parse.Tree
	base    int
	notices []notice
}

// parse parses a text in the name of a template.
func (e *engine) parse(name, text string) (*fileTrees, error) {
	trees, err := parse.Parse(name, text, "", "", known())
	if err != nil {
		return nil, err
	}
	f := &fileTrees{trees: trees}
	in := &instrumenter{notices: &f.notices}
	e.mu.Lock()
	defer e.mu.Unlock()
	f.base = e.number
	in.base = e.number
	for _, t := range trees {
		if t != nil {
			in.list(t.Root)
		}
	}
	e.number += len(f.notices)
	return f, nil
}

// known lists all functions, for the parser.
var known = sync.OnceValue(func() map[string]any {
	all := map[string]any{}
	for name := range functions() {
		all[name] = true
	}
	for _, name := range []string{
		"include", "tpl", "lookup", "required", // and those of text/template
		"and", "break", "call", "continue", "html", "index", "slice", "js", "len", "not", "or", "print", "printf", "println", "urlquery",
		"eq", "ge", "gt", "le", "lt", "ne",
	} {
		all[name] = true
	}
	return all
})

// A templateSet is all templates of the chart and its enabled dependencies.
type templateSet struct {
	root    *template.Template
	notices map[int]notice
	trees   map[string]*parse.Tree // by the name by which they are called
	wordsOf func() []string
	idle    []*machine
}

// words are the words that texts with a lookup quote or name as fields: what they
// may look for in an object.
func (set *templateSet) words() []string { return set.wordsOf() }

// set returns the templates of a list of files.
func (e *engine) set(list []source) (*templateSet, error) {
	var id strings.Builder
	for _, s := range list {
		fmt.Fprintf(&id, "%s\x00%p\x00", s.name, s.file)
	}
	e.mu.Lock()
	set := e.sets[id.String()]
	e.mu.Unlock()
	if set != nil {
		return set, nil
	}
	set = &templateSet{root: template.New("gotpl").Option("missingkey=zero"), notices: map[int]notice{}, trees: map[string]*parse.Tree{}}
	for _, s := range list {
		f, err := e.file(s)
		if err != nil {
			return nil, err
		}
		if err := set.add(set.root.New(s.name), f); err != nil {
			return nil, err
		}
	}
	for _, t := range set.root.Templates() {
		set.trees[t.Name()] = t.Tree
	}
	set.wordsOf = sync.OnceValue(func() []string { return lookedFor(list) })
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sets[id.String()] = set
	return set, nil
}

// add adds what a file defines, in the way of Template.Parse: what is there already
// is replaced, but not by nothing.
func (set *templateSet) add(t *template.Template, f *fileTrees) error {
	for name, tree := range f.trees {
		if _, err := t.AddParseTree(name, tree); err != nil {
			return err
		}
	}
	for i, n := range f.notices {
		set.notices[f.base+i] = n
	}
	return nil
}

// file parses a template file once.
func (e *engine) file(s source) (*fileTrees, error) {
	e.mu.Lock()
	f := e.trees[s.name]
	e.mu.Unlock()
	if f != nil && f.file == s.file {
		return f, nil
	}
	f, err := e.parse(s.name, string(s.file.Data))
	if err != nil {
		return nil, parseError(s.name, err)
	}
	f.file = s.file
	e.mu.Lock()
	defer e.mu.Unlock()
	e.trees[s.name] = f
	return f, nil
}

// A rendering is what a template gave once, and what that depends on.
type rendering struct {
	looks map[int]uint64 // number of a look → what it saw
	calls map[string]*parse.Tree
	text  string
	err   error
	again bool // it may be another text next time all the same
	wrote bool // the template changed values

	once sync.Once
	docs []*document
}

// documents parses the text once.
func (r *rendering) documents(cache *docCache) []*document {
	r.once.Do(func() { r.docs = cache.all(r.text) })
	return r.docs
}

// holds tells whether the template would give the same now.
func (r *rendering) holds(v *view, set *templateSet) bool {
	for name, tree := range r.calls {
		if set.trees[name] != tree {
			return false
		}
	}
	for id, saw := range r.looks {
		if v.sum(id) != saw {
			return false
		}
	}
	return true
}

// render renders a chart whose dependencies are resolved: every template that is no
// partial, in the order of Helm.
func (e *engine) render(h *helm.Chart, top chartutil.Values, how mode, begins func(string)) (*renderings, error) {
	root, list := e.contexts(h, top)
	if !how.checks {
		list = slices.DeleteFunc(list, func(s source) bool { return strings.HasSuffix(s.name, notesSuffix) })
	}
	set, err := e.set(list)
	if err != nil {
		return nil, err
	}
	m := e.machine(set, how)
	defer e.release(set, m)
	m.begin(root, begins)
	all := &renderings{byName: make(map[string]*rendering, len(list)), writers: map[string]*rendering{}}
	for _, s := range list {
		if strings.HasPrefix(path.Base(s.name), "_") {
			continue
		}
		r, err := e.execute(m, s)
		if err != nil {
			return nil, err
		}
		all.byName[s.name] = r
		if r.wrote {
			all.writers[s.name] = r
		}
	}
	return all, nil
}

// errStubbed is wrapped by an error that stubs of key generation may be to blame
// for.
var errStubbed = errors.New("keys were not generated")

// execute returns the rendering of one template: one that is kept, or a new one.
func (e *engine) execute(m *machine, s source) (*rendering, error) {
	e.mu.Lock()
	kept := e.kept[s.name]
	e.mu.Unlock()
	s.dot["Template"] = chartutil.Values{"Name": s.name, "BasePath": s.basePath}
	if !m.view.lost {
		for _, r := range kept {
			if r.holds(m.view, m.set) {
				return r, r.err
			}
		}
	}
	m.begins(s.name)
	r := &rendering{}
	rec := newRecording()
	rec.calls[s.name] = m.set.trees[s.name]
	r.text, r.err = m.execute(s, rec)
	stubbed := rec.looks[e.ledger.id(look{path: stubLook})]
	if r.err != nil && (stubbed || m.stubbed) {
		r.err = fmt.Errorf("%w: %w", errStubbed, r.err)
	}
	r.again, r.wrote, r.calls = rec.again, rec.wrote, rec.calls
	if r.wrote {
		m.measure()
		m.stubbed = m.stubbed || stubbed
		return r, r.err
	}
	r.looks = make(map[int]uint64, len(rec.looks))
	for id := range rec.looks {
		r.looks[id] = m.view.sum(id)
	}
	if !r.again {
		e.keep(s.name, r)
	}
	return r, r.err
}

func (e *engine) keep(name string, r *rendering) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.size += len(r.text); e.size > maxKeptSize {
		e.kept, e.size = map[string][]*rendering{}, len(r.text)
	}
	list := append([]*rendering{r}, e.kept[name]...)
	if len(list) > maxKept {
		e.size -= len(list[maxKept].text)
		list = list[:maxKept]
	}
	e.kept[name] = list
}

// parseError and execError are the errors of Helm's engine.
func parseError(name string, err error) error {
	parts := strings.Split(err.Error(), ": ")
	if len(parts) == 1 {
		return fmt.Errorf("parse error in (%s): %w", name, err)
	}
	return fmt.Errorf("parse error at (%s): %s", parts[1], parts[len(parts)-1])
}

// The texts between which the engine puts the message of a check.
const warnStart, warnEnd = "HELM_ERR_START", "HELM_ERR_END"

var warning = lazy.Regexp(warnStart + `((?s).*)` + warnEnd)

func execError(name string, err error) error {
	if _, ok := err.(template.ExecError); !ok {
		return err
	}
	parts := strings.SplitN(err.Error(), ": ", 3)
	if len(parts) != 3 {
		return fmt.Errorf("execution error in (%s): %w", name, err)
	}
	if m := warning().FindStringSubmatch(parts[2]); m != nil {
		return fmt.Errorf("execution error at (%s): %s", parts[1], m[1])
	}
	return err
}
