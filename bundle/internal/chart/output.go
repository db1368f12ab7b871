package chart

import (
	"slices"
	"strconv"
	"strings"
)

// Output is what one render produced.
type Output struct {
	// Manifests are all documents of all templates, hooks and tests included,
	// sorted by template and then in the order of the template.
	Manifests []Manifest
	// Notes is the root chart's rendered NOTES.txt; empty when lenient.
	Notes string

	annotated []string
	byID      map[string]*Manifest
}

// Manifest is one rendered document.
type Manifest struct {
	Template   string // chart/templates/x.yaml
	Ordinal    int    // among the documents of this kind in this template
	APIVersion string
	Kind       string
	Name       string
	Namespace  string   // as the manifest says it, often empty
	Hooks      []string // events of the helm.sh/hook annotation, nil when it is no hook
	Raw        string   // the document's text

	doc *document
}

// Test tells whether the manifest is run only by helm test.
func (m *Manifest) Test() bool {
	return len(m.Hooks) > 0 && !slices.ContainsFunc(m.Hooks, func(h string) bool {
		return h != "test" && h != "test-success" && h != "test-failure"
	})
}

// Position is the position of the document itself: template#Kind/ordinal.
func (m *Manifest) Position() string {
	return m.Template + "#" + m.Kind + "/" + strconv.Itoa(m.Ordinal)
}

// add adds the documents of a template; templates come sorted by name.
func (o *Output) add(template string, docs []*document) {
	ordinals := map[string]int{}
	for _, doc := range docs {
		m := newManifest(template, doc)
		m.Ordinal = ordinals[m.Kind]
		ordinals[m.Kind]++
		o.Manifests = append(o.Manifests, m)
	}
}

// index finishes an output to which all was added.
func (o *Output) index() {
	o.byID = make(map[string]*Manifest, len(o.Manifests))
	for i := range o.Manifests {
		m := &o.Manifests[i]
		o.byID[m.Position()] = m
	}
}

func newManifest(template string, doc *document) Manifest {
	m := Manifest{Template: template, Raw: doc.raw, doc: doc}
	if isWord(doc.kind) {
		m.Kind = doc.kind // anything else would make positions ambiguous
	}
	if doc.root == nil {
		return m
	}
	m.APIVersion = doc.root.text("apiVersion")
	meta := doc.root.get("metadata")
	m.Name, m.Namespace = meta.text("name"), meta.text("namespace")
	if hook := meta.get("annotations").text("helm.sh/hook"); hook != "" {
		for _, e := range strings.Split(hook, ",") {
			m.Hooks = append(m.Hooks, strings.ToLower(strings.TrimSpace(e)))
		}
	}
	return m
}

// splitDocuments splits a rendered file where Helm does: at every line that
// begins with three dashes.
func splitDocuments(text string) []string {
	var docs []string
	rest := strings.TrimSpace(text)
	if after, ok := strings.CutPrefix(rest, "---"); ok {
		rest = after
	}
	for rest != "" {
		doc := rest
		if i := strings.Index(rest, "\n---"); i >= 0 {
			doc, rest = rest[:i], rest[i+len("\n---"):]
		} else {
			rest = ""
		}
		if doc = strings.TrimSpace(doc); doc != "" {
			docs = append(docs, doc)
		}
	}
	return docs
}

// AnnotatedImages lists the references that the annotations of Chart.yaml name,
// for this chart and the dependencies that were enabled in this render; sorted,
// each once.
func (o *Output) AnnotatedImages() []string { return slices.Clone(o.annotated) }

// Leaves returns every scalar by its position, documents inside strings
// expanded (their leaves then stand for the string). A document that is no YAML
// is one leaf, and so is a CustomResourceDefinition: the SHA-256 of its text.
func (o *Output) Leaves() map[string]string {
	n := 0
	for i := range o.Manifests {
		n += len(o.Manifests[i].doc.allLeaves())
	}
	all := make(map[string]string, n)
	for i := range o.Manifests {
		m := &o.Manifests[i]
		id := m.Position()
		for _, l := range m.doc.allLeaves() {
			all[id+l.path] = l.value
		}
	}
	return all
}

// Lookup returns what stands at a position of a finding or leaf, usually of
// another render of the same chart; ok is false when there is nothing.
//
// Words are counted by their separators alone (blanks, quotes, commas, =,
// brackets), so position ~3 is the same word whatever reference stands there,
// and it is returned without a scheme such as oci://.
func (o *Output) Lookup(position string) (value string, ok bool) {
	m, path := o.locate(position)
	if m == nil {
		return "", false
	}
	base, token, hasToken := cutToken(path)
	if !hasToken || path == base+refToken {
		// With other values the same key may hold all of a reference or a part.
		for _, f := range m.doc.findings() {
			if f.path == path || f.path == base+refToken || path == base+refToken && f.path == base {
				return f.raw, true
			}
		}
	}
	m.doc.allLeaves()
	if path == base+refToken { // what remains is the scalar or word it leads to
		path = base
		base, token, hasToken = cutToken(path)
	}
	i, ok := m.doc.leafAt[base]
	if !ok {
		return "", false
	}
	if !hasToken {
		return m.doc.leaves[i].value, true
	}
	return lookupWord(m.doc.leaves[i].value, "~"+token)
}

// cutToken splits a path from its token. A tilde within a quoted key is part of
// the path.
func cutToken(path string) (base, token string, ok bool) {
	i := strings.LastIndexByte(path, '~')
	if i < 0 || strings.ContainsAny(path[i:], `"]|`) {
		return path, "", false
	}
	return path[:i], path[i+1:], true
}

func lookupWord(s, token string) (string, bool) {
	i, err := strconv.Atoi(strings.TrimPrefix(token, "~"))
	if err != nil {
		return "", false
	}
	w := words(s)
	if i < 0 || i >= len(w) {
		return "", false
	}
	return w[i].reference(), true
}

// locate splits a position into its manifest and the path within it. A template
// or a key may contain a # too, so the first prefix that is a manifest counts.
func (o *Output) locate(position string) (*Manifest, string) {
	for i := 0; i < len(position); i++ {
		if position[i] != '#' {
			continue
		}
		slash := strings.IndexByte(position[i:], '/')
		if slash < 0 {
			break
		}
		end := i + slash + 1
		for end < len(position) && position[end] >= '0' && position[end] <= '9' {
			end++
		}
		if m := o.byID[position[:end]]; m != nil {
			return m, position[end:]
		}
	}
	return nil, ""
}
