package relocate

import (
	"slices"
	"strings"
	"text/template/parse"

	"bundle/bundle/internal/chart"
)

// A reader knows what the templates of a chart read.
type reader struct {
	templates []chart.TemplateFile
	readings  []*reading
	charts    map[string]bool // values paths of the chart and its subcharts
	relative  map[string]bool // keys read of maps that are not known
	named     map[string][]at // templates by their names, which define gives
}

// An at is a template that a file defines.
type at struct {
	file chart.TemplateFile
	read *reading
}

// readTemplates parses the templates of a chart and of its subcharts.
func readTemplates(templates []chart.TemplateFile) *reader {
	r := &reader{templates: templates, charts: map[string]bool{"": true}, relative: map[string]bool{}, named: map[string][]at{}}
	for _, t := range templates {
		r.charts[t.Path] = true
		one := readTemplate(t)
		for name, part := range one.parts {
			r.named[name] = append(r.named[name], at{t, part})
		}
		r.readings = append(r.readings, one)
		for key := range one.relative {
			r.relative[key] = true
		}
	}
	return r
}

// keys lists the paths in the root chart's values that templates read and that
// are wanted, each once, sorted.
func (r *reader) keys(wanted func(path) bool) []path {
	found := map[string]path{}
	for i, t := range r.templates {
		for _, p := range r.readings[i].absolute {
			for _, at := range scopes(t, r.charts) {
				if p.global() {
					at = nil
				}
				if full := at.join(p...); wanted(full) {
					found[full.String()] = full
				}
			}
		}
	}
	return sortedPaths(found)
}

// nearby returns a test for slots that a template reads, by itself or in those that
// it calls: their keys, the maps that they are in, or something in them.
func (r *reader) nearby(template string) func(*slot) bool {
	var paths []path
	seen, next := map[string]bool{template: true}, []string{template}
	for len(next) > 0 {
		name := next[0]
		next = next[1:]
		for _, def := range r.named[name] {
			for _, p := range def.read.absolute {
				for _, from := range scopes(def.file, r.charts) {
					if p.global() {
						from = nil
					}
					paths = append(paths, from.join(p...))
				}
			}
			for _, call := range def.read.calls {
				if !seen[call] {
					seen[call] = true
					next = append(next, call)
				}
			}
		}
	}
	return func(s *slot) bool {
		return slices.ContainsFunc(paths, func(p path) bool {
			n := min(len(p), len(s.path))
			return n > 0 && slices.Equal(p[:n], s.path[:n])
		})
	}
}

// below lists the wanted keys that templates read of maps they are given, as
// keys of each of the maps.
func (r *reader) below(maps []path, wanted func(path) bool) []path {
	found := map[string]path{}
	for _, at := range maps {
		for key := range r.relative {
			if p := at.join(key); wanted(p) {
				found[p.String()] = p
			}
		}
	}
	return sortedPaths(found)
}

func sortedPaths(m map[string]path) []path {
	list := make([]path, 0, len(m))
	for _, k := range sortedKeys(m) {
		list = append(list, m[k])
	}
	return list
}

// imageKeys guesses keys whose name says registry or image: those that
// templates read, and those that they read of "some image map"
// (.imageRoot.registry) in every image map of values.
func (r *reader) imageKeys(values map[string]any) []path {
	places := map[[2]string]bool{} // by key and the key above: there are many paths, and few names
	place := func(p path) bool {
		names := [2]string{p.parentKey(), p.key()}
		is, known := places[names]
		if !known {
			is = kindOf(path{names[0], names[1]}) != otherKey
			places[names] = is
		}
		return is
	}
	known := r.keys(place)
	more := r.below(imageMaps(values, known), func(p path) bool { return place(path{p.key()}) })
	found := map[string]path{}
	for _, p := range slices.Concat(known, more) {
		found[p.String()] = p
	}
	return sortedPaths(found)
}

// imageMaps lists the maps in values that describe an image, and those that
// templates read as if there were some.
func imageMaps(values map[string]any, read []path) []path {
	var list []path
	walk(nil, values, func(p path, v any) bool {
		m, ok := v.(map[string]any)
		if ok && isImageMap(m) {
			list = append(list, p)
		}
		return ok // not into lists: a guess is not worth carrying one whole
	})
	for _, p := range read {
		v, _ := p.lookup(values)
		if m, ok := v.(map[string]any); (v == nil || ok && !isImageMap(m)) && strings.HasSuffix(strings.ToLower(p.key()), "image") {
			list = append(list, p)
		}
	}
	return list
}

// scopes lists the values paths that .Values may mean in a template: that of
// its chart, or for a helper of a library chart that of any chart.
func scopes(t chart.TemplateFile, all map[string]bool) []path {
	if !t.Library {
		return []path{splitPath(t.Path)}
	}
	var list []path
	for _, p := range sortedKeys(all) {
		list = append(list, splitPath(p))
	}
	return list
}

func splitPath(dotted string) path {
	var p path
	for _, step := range strings.FieldsFunc(dotted, func(r rune) bool { return r == '.' }) {
		p = append(p, step)
	}
	return p
}

// isImageMap tells whether a map describes an image.
func isImageMap(m map[string]any) bool {
	has := func(keys ...string) bool {
		return slices.ContainsFunc(keys, func(k string) bool {
			switch m[k].(type) {
			case string, nil, float64, int, int64:
				_, ok := m[k]
				return ok
			}
			return false
		})
	}
	return has("repository", "repo", "registry") ||
		has("image", "name") && has("tag", "version", "digest", "pullPolicy", "imagePullPolicy")
}

// A reading is what one template reads of its values.
type reading struct {
	absolute []path              // below .Values
	relative map[string]bool     // last keys of chains that start elsewhere
	calls    []string            // names of templates that it executes
	parts    map[string]*reading // of a file: what each template in it reads
}

// readTemplate parses a template file. A file that does not parse reads
// nothing: Helm would refuse it too.
func readTemplate(t chart.TemplateFile) *reading {
	r := &reading{relative: map[string]bool{}, parts: map[string]*reading{}}
	tree := parse.New(t.Name)
	tree.Mode = parse.SkipFuncCheck
	trees := map[string]*parse.Tree{}
	if _, err := tree.Parse(t.Text, "", "", trees); err != nil {
		return r
	}
	for _, name := range sortedKeys(trees) {
		part := &reading{relative: r.relative}
		part.list(trees[name].Root, nil, map[string]path{"$": nil})
		r.absolute = append(r.absolute, part.absolute...)
		r.parts[name] = part
	}
	return r
}

// list reads the nodes of a template. dot is the path below .Values that the
// dot stands for, nil where that is not known; vars holds that of variables.
func (r *reading) list(l *parse.ListNode, dot path, vars map[string]path) {
	if l == nil {
		return
	}
	for _, n := range l.Nodes {
		r.node(n, dot, vars)
	}
}

func (r *reading) node(n parse.Node, dot path, vars map[string]path) {
	switch n := n.(type) {
	case *parse.ActionNode:
		r.pipe(n.Pipe, dot, vars)
	case *parse.TemplateNode:
		r.calls = append(r.calls, n.Name)
		r.pipe(n.Pipe, dot, vars)
	case *parse.IfNode:
		r.branch(&n.BranchNode, dot, dot, vars)
	case *parse.WithNode:
		r.branch(&n.BranchNode, r.pathOf(n.Pipe, dot, vars), dot, vars)
	case *parse.RangeNode:
		r.branch(&n.BranchNode, nil, dot, vars)
	}
}

// branch reads if, with and range; inner is the dot of the first list.
func (r *reading) branch(b *parse.BranchNode, inner, dot path, vars map[string]path) {
	r.pipe(b.Pipe, dot, vars)
	r.list(b.List, inner, vars)
	r.list(b.ElseList, dot, vars)
}

func (r *reading) pipe(p *parse.PipeNode, dot path, vars map[string]path) {
	if p == nil {
		return
	}
	for _, c := range p.Cmds {
		if name, ok := c.Args[0].(*parse.IdentifierNode); ok && name.Ident == "include" && len(c.Args) > 1 {
			if s, ok := c.Args[1].(*parse.StringNode); ok {
				r.calls = append(r.calls, s.Text)
			}
		}
		for _, arg := range c.Args {
			r.arg(arg, dot, vars)
		}
	}
	at := r.pathOf(p, dot, vars)
	if at != nil {
		r.absolute = append(r.absolute, at)
	}
	for _, v := range p.Decl {
		vars[v.Ident[0]] = at
	}
}

// arg notes what an argument reads, whether its path is known or not.
func (r *reading) arg(n parse.Node, dot path, vars map[string]path) {
	if p, ok := n.(*parse.PipeNode); ok {
		r.pipe(p, dot, vars)
		return
	}
	if at := r.pathOf(n, dot, vars); at != nil {
		r.absolute = append(r.absolute, at)
		return
	}
	switch n := n.(type) {
	case *parse.ChainNode:
		r.arg(n.Node, dot, vars)
		r.relative[n.Field[len(n.Field)-1]] = true
	case *parse.FieldNode:
		r.relative[n.Ident[len(n.Ident)-1]] = true
	case *parse.VariableNode:
		if len(n.Ident) > 1 {
			r.relative[n.Ident[len(n.Ident)-1]] = true
		}
	case *parse.StringNode:
		if plainKey(n.Text) {
			r.relative[n.Text] = true
		}
	}
}

// pathOf resolves an expression to a path below .Values, nil when it is none.
func (r *reading) pathOf(n parse.Node, dot path, vars map[string]path) path {
	switch n := n.(type) {
	case *parse.DotNode:
		return dot
	case *parse.FieldNode:
		return resolve(dot, n.Ident)
	case *parse.VariableNode:
		return resolve(vars[n.Ident[0]], n.Ident[1:])
	case *parse.ChainNode:
		return resolve(r.pathOf(n.Node, dot, vars), n.Field)
	case *parse.PipeNode:
		return r.pathOfPipe(n, dot, vars)
	}
	return nil
}

// pathOfPipe sees through the functions that hand a value on or read a key of
// it: default, coalesce, required, get, index, dig, and pipes into them.
func (r *reading) pathOfPipe(n *parse.PipeNode, dot path, vars map[string]path) path {
	if n == nil || len(n.Cmds) == 0 {
		return nil
	}
	args := n.Cmds[0].Args
	if len(args) == 1 {
		return r.pathOf(args[0], dot, vars)
	}
	name, ok := args[0].(*parse.IdentifierNode)
	if !ok {
		return nil
	}
	values := args[1:]
	switch name.Ident {
	case "default", "required":
		return r.pathOf(values[len(values)-1], dot, vars)
	case "coalesce":
		return r.pathOf(values[0], dot, vars)
	case "get", "index", "hasKey", "pluck", "dig":
		return r.pathOfKeys(name.Ident, values, dot, vars)
	}
	return nil
}

// pathOfKeys resolves functions that take a map and keys: the map first (get,
// index, hasKey) or last (dig, pluck). The default of dig is no key.
func (r *reading) pathOfKeys(name string, values []parse.Node, dot path, vars map[string]path) path {
	last := len(values) - 1
	from, keys := values[0], values[1:]
	switch {
	case name == "dig" && last >= 2:
		from, keys = values[last], values[:last-1]
	case name == "pluck":
		from, keys = values[last], values[:last]
	}
	var idents []string
	for _, k := range keys {
		s, ok := k.(*parse.StringNode)
		if !ok {
			return nil
		}
		idents = append(idents, s.Text)
	}
	if f, ok := from.(*parse.FieldNode); ok && f.Ident[len(f.Ident)-1] == "Values" {
		return resolve(nil, append([]string{"Values"}, idents...))
	}
	if v, ok := from.(*parse.VariableNode); ok && v.Ident[len(v.Ident)-1] == "Values" {
		return resolve(nil, append([]string{"Values"}, idents...))
	}
	return resolve(r.pathOf(from, dot, vars), idents)
}

// resolve follows keys from a path. Behind "Values" they start anew, wherever
// it stands (.Values, $.Values, .context.Values); so do those from "global" on
// where the start is not known.
func resolve(from path, idents []string) path {
	if i := slices.Index(idents, "Values"); i >= 0 {
		from, idents = path{}, idents[i+1:]
		if len(idents) == 0 {
			return nil
		}
	} else if from == nil {
		i := slices.Index(idents, "global")
		if i < 0 {
			return nil
		}
		from, idents = path{}, idents[i:]
	}
	for _, k := range idents {
		from = from.join(k)
	}
	return from
}

// plainKey tells whether a string constant may be a key.
func plainKey(s string) bool {
	return s != "" && len(s) < 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == ""
}
