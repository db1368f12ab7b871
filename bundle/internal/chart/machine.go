package chart

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"text/template"
)

// A machine executes the templates of a set. One render uses it at a time.
type machine struct {
	engine   *engine
	set      *templateSet
	root     *template.Template
	included map[string]int
	mode     mode

	texts   map[string]*fileTrees     // that tpl was called with
	notices map[int]notice            // of these
	parsed  map[string]map[string]any // by the texts that fromYaml was called with
	size    int                       // bytes of all these texts

	dot     map[string]any // of this render
	view    *view
	rec     *recording // of the template under way
	stubbed bool       // what templates see may hold stubs
	begins  func(template string)
	asked   func(message string) // is told what checks that do not count would say; nil for nobody
}

// machine returns one that nobody uses.
func (e *engine) machine(set *templateSet, how mode) *machine {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, m := range set.idle {
		if m.mode == how {
			set.idle = slices.Delete(set.idle, i, i+1)
			return m
		}
	}
	m := &machine{engine: e, set: set, mode: how, included: map[string]int{}, texts: map[string]*fileTrees{}, notices: map[int]notice{}, parsed: map[string]map[string]any{}}
	m.root = template.Must(set.root.Clone()).Option("missingkey=zero").Funcs(m.functions())
	m.root.Funcs(m.calls(m.root))
	return m
}

func (e *engine) release(set *templateSet, m *machine) {
	m.dot, m.view, m.rec, m.begins, m.asked = nil, nil, nil, nil, nil
	e.mu.Lock()
	defer e.mu.Unlock()
	set.idle = append(set.idle, m)
}

// begin prepares for a render of templates that see root; begins is called for each.
func (m *machine) begin(root map[string]any, begins func(string)) {
	m.dot, m.stubbed, m.begins = root, false, begins
	clear(m.included)
	if m.size > maxTexts {
		clear(m.texts)
		clear(m.notices)
		clear(m.parsed)
		m.size = 0
	}
	m.measure()
}

func (m *machine) measure() {
	m.view = measure(&m.engine.ledger, m.dot, map[string]any{stubLook: m.mode.stub, checkLook: m.mode.checks, lookupLook: m.mode.lookup, freshLook: m.mode.fresh})
}

// A mode says what functions do.
type mode struct {
	stub   bool // keys are not generated
	checks bool // fail and required count, and notes are executed too
	lookup bool // lookup finds something
	fresh  bool // what is random is chosen anew; otherwise it may be what it was
}

// Looks at what is no field: the parts of the mode.
const (
	stubLook  = "\x00\x00stub"
	checkLook = "\x00\x00checks"
	freshLook = "\x00\x00fresh"
)

func (m *machine) looksAt(path string) {
	m.rec.looks[m.engine.ledger.id(look{path: path})] = true
}

// execute executes one template.
func (m *machine) execute(s source, rec *recording) (text string, err error) {
	defer func() {
		if r := recover(); r != nil {
			text, err = "", fmt.Errorf("rendering template failed: %v", r)
		}
	}()
	m.rec = rec
	var b strings.Builder
	if err := m.root.ExecuteTemplate(&b, s.name, s.dot); err != nil {
		return "", execError(s.name, err)
	}
	return noValue(b.String()), nil
}

// noValue removes what text/template prints for a missing value.
func noValue(text string) string { return strings.ReplaceAll(text, "<no value>", "") }

// functions are those that know what is rendered.
func (m *machine) functions() template.FuncMap {
	f := functions()
	for _, name := range randomFunctions {
		f[name] = before(f[name], func([]reflect.Value) {
			m.looksAt(freshLook)
			m.rec.again = m.rec.again || m.mode.fresh
		})
	}
	if m.mode.stub {
		for name, value := range keyStubs() {
			f[name] = func(...any) any {
				m.looksAt(stubLook)
				return value
			}
		}
	}
	f["fail"], f["required"] = m.fail, m.required
	f["fromYaml"] = m.fromYAML
	for _, name := range changingFunctions {
		f[name] = m.merge(f[name])
	}
	changes := func(args []reflect.Value) {
		if d, ok := args[0].Interface().(map[string]any); ok && m.view.node(d) != nil {
			m.rec.wrote = true
		}
	}
	f["set"] = before(f["set"], changes)
	f["unset"] = before(f["unset"], changes)
	f["lookup"] = m.lookup
	f[seenFunction] = m.seen
	return f
}

// seen notices what a pipeline is about to read.
func (m *machine) seen(id int, values ...any) string {
	n, ok := m.set.notices[id]
	if !ok {
		n = m.notices[id]
	}
	if n.template != "" {
		m.rec.calls[n.template] = m.set.trees[n.template]
	}
	if m.rec.wrote {
		return ""
	}
	for _, o := range n.operands {
		m.rec.read(m.view, values[o.of], o)
	}
	return ""
}

func (m *machine) fail(message string) (string, error) {
	m.looksAt(checkLook)
	if m.mode.checks {
		return "", refused(message)
	}
	m.told(message)
	return "", nil
}

func (m *machine) told(message string) {
	if m.asked != nil {
		m.asked(message[:min(len(message), maxErrorText)])
	}
}

// refused is the error of a check that a chart makes.
func refused(message string) error {
	return errors.New(warnStart + message[:min(len(message), maxErrorText)] + warnEnd)
}

func (m *machine) required(message string, value any) (any, error) {
	if value != nil && value != "" {
		return value, nil
	}
	m.looksAt(checkLook)
	if m.mode.checks {
		return value, refused(message)
	}
	m.told(message)
	return "", nil
}

// merge is a function that merges maps into the first, one at a time: what an
// earlier one brought may be changed by a later one.
func (m *machine) merge(fn any) any {
	v := reflect.ValueOf(fn)
	return reflect.MakeFunc(v.Type(), func(args []reflect.Value) (out []reflect.Value) {
		sources := args[1]
		for i := range max(1, sources.Len()) {
			part := sources.Slice(i, min(i+1, sources.Len()))
			if part.Len() > 0 && m.view.holds(args[0].Interface(), 0) {
				m.rec.wrote = true
			}
			out = v.CallSlice([]reflect.Value{args[0], part})
			if _, ok := out[0].Interface().(map[string]any); !ok {
				break // it failed
			}
		}
		return out
	}).Interface()
}

// fromYAML parses a text once: charts call templates by include and read what they
// wrote, each time.
func (m *machine) fromYAML(text string) map[string]any {
	all, known := m.parsed[text]
	if !known {
		all = fromYAML(text)
		if m.size < maxTexts {
			m.parsed[text] = all
			m.size += len(text)
		}
	}
	return copyMap(all)
}

const maxIncludes = 1000 // nested ones of one template, as in Helm

// calls are the functions that execute other templates of t.
func (m *machine) calls(t *template.Template) template.FuncMap {
	return template.FuncMap{
		"include": func(name string, data any) (string, error) {
			if m.included[name] > maxIncludes {
				return "", fmt.Errorf("rendering template has a nested reference name: %s: unable to execute template", name)
			}
			m.included[name]++
			m.rec.calls[name] = m.set.trees[name]
			var b strings.Builder
			err := t.ExecuteTemplate(&b, name, data)
			m.included[name]--
			return b.String(), err
		},
		"tpl": func(text string, data any) (string, error) { return m.tpl(t, text, data) },
	}
}

// tpl renders a text as a template that may call those of parent.
func (m *machine) tpl(parent *template.Template, text string, data any) (string, error) {
	if !strings.Contains(text, "{{") {
		return noValue(text), nil
	}
	f, err := m.text(parent.Name(), text)
	if err != nil {
		return "", fmt.Errorf("cannot parse template %q: %w", text, err)
	}
	t := parent.New(parent.Name())
	if len(f.trees) == 1 && f.trees[parent.Name()] != nil {
		t.Tree = f.trees[parent.Name()] // nothing else is defined: it needs no copy of all templates
	} else if t, err = m.defining(parent, f); err != nil {
		return "", fmt.Errorf("cannot parse template %q: %w", text, err)
	}
	var b strings.Builder
	if err := t.Execute(&b, data); err != nil {
		return "", fmt.Errorf("error during tpl function execution for %q: %w", text, err)
	}
	return noValue(b.String()), nil
}

// defining returns a copy of parent with all that a text defines.
func (m *machine) defining(parent *template.Template, f *fileTrees) (*template.Template, error) {
	c, err := parent.Clone()
	if err != nil {
		return nil, err
	}
	c.Option("missingkey=zero").Funcs(m.calls(c))
	t := c.New(parent.Name())
	for name, tree := range f.trees {
		if _, err := t.AddParseTree(name, tree); err != nil {
			return nil, err
		}
	}
	if t.Tree == nil {
		return nil, errors.New("incomplete template")
	}
	return t, nil
}

// text parses a text for tpl, once.
func (m *machine) text(name, text string) (*fileTrees, error) {
	if f := m.texts[text]; f != nil {
		return f, nil
	}
	f, err := m.engine.parse(name, text)
	if err != nil {
		return nil, err
	}
	for i, n := range f.notices {
		m.notices[f.base+i] = n
	}
	m.texts[text] = f
	m.size += len(text)
	return f, nil
}
