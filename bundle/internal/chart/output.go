package chart

import (
	"slices"
	"strings"
	"sync"

	"bundle/bundle/internal/written"
)

// Output is what one render produced.
type Output struct {
	// Manifests are all documents of all templates, hooks and tests included,
	// sorted by template and then in the order of the template.
	Manifests []Manifest
	// Notes is the root chart's rendered NOTES.txt; empty when lenient.
	Notes string
	// Unread lists the schema files that the proof could not read whole; nil when
	// lenient. Helm will not install the chart where it cannot load them, but for
	// helm's --skip-schema-validation. What of them is in the chart was checked.
	Unread []UnreadSchema

	// NotSeen lists what could not be looked into on occasions; nil without them.
	NotSeen []NotSeen

	annotated []string
	texts     map[string]string        // of each template, as it was rendered
	hashes    func() map[string]string // checksum → template
	byID      map[Document]*Manifest
}

// Manifest is one rendered document.
type Manifest struct {
	ID         Document
	Template   string // chart/templates/x.yaml
	APIVersion string
	Kind       string
	Name       string
	Namespace  string   // as the manifest says it, often empty
	Hooks      []string // events of the helm.sh/hook annotation, nil when it is no hook
	Raw        string   // the document's text

	// When is the occasion on which alone the document is there.
	When When

	doc *document
}

// Test tells whether the manifest is run only by helm test.
func (m *Manifest) Test() bool {
	return len(m.Hooks) > 0 && !slices.ContainsFunc(m.Hooks, func(h string) bool {
		return h != "test" && h != "test-success" && h != "test-failure"
	})
}

// add adds the documents of a template; templates come sorted by name.
func (o *Output) add(template, text string, docs []*document) {
	if o.texts == nil {
		o.texts = map[string]string{}
	}
	o.texts[template] = text
	o.addWhen(Always, template, docs)
}

// addWhen adds documents that an occasion has.
func (o *Output) addWhen(when When, template string, docs []*document) {
	for _, doc := range docs {
		m := newManifest(template, doc)
		m.When = when
		o.Manifests = append(o.Manifests, m)
	}
}

// index finishes an output to which all was added.
func (o *Output) index() {
	texts := o.texts
	o.hashes = sync.OnceValue(func() map[string]string { return hashes(texts) })
	o.identify(nil)
}

func newManifest(template string, doc *document) Manifest {
	m := Manifest{Template: template, Raw: doc.raw, doc: doc}
	if isWord(doc.kind) {
		m.Kind = doc.kind // anything else is no kind
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
func (o *Output) Leaves() map[Position]string {
	n := 0
	for i := range o.Manifests {
		n += len(o.Manifests[i].doc.allLeaves())
	}
	all := make(map[Position]string, n)
	for i := range o.Manifests {
		m := &o.Manifests[i]
		for _, l := range m.doc.allLeaves() {
			all[m.ID.At(l.path)] = l.value
		}
	}
	return all
}

// Lookup returns what stands at a position of a finding or leaf, usually of
// another render of the same chart; ok is false when there is nothing.
//
// written.Words are counted by their separators alone (blanks, quotes, commas, =,
// brackets), so the third word of a scalar is the same one whatever reference
// stands there, and it is returned without a scheme such as oci://.
func (o *Output) Lookup(p Position) (value string, ok bool) {
	m := o.byID[p.Document]
	if m == nil {
		return "", false
	}
	if p.Word == 0 || p.Spread {
		// With other values the same key may hold all of a reference or a part.
		for _, f := range m.doc.findings() {
			if f.at.Path == p.Path && f.at.Word == p.Word {
				return f.raw, true
			}
		}
	}
	m.doc.allLeaves()
	i, ok := m.doc.leafAt[p.Path]
	if !ok {
		return "", false
	}
	if p.Word == 0 {
		return m.doc.leaves[i].value, true
	}
	w := written.Words(m.doc.leaves[i].value)
	if p.Word > len(w) {
		return "", false
	}
	return w[p.Word-1].Reference(), true
}
