package chart

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"sync"
)

// document is one parsed manifest. It is immutable once parsed, and shared by
// all renders of a chart that produce the same text.
type document struct {
	root *node // nil when the text is no YAML
	raw  string
	kind string
	err  error // why there is no root

	leafOnce sync.Once
	leaves   []leaf
	leafAt   map[string]int

	findOnce sync.Once
	found    []found
}

// parseDocument parses one manifest; nil when it holds nothing.
func parseDocument(raw string) *document {
	p := &parser{}
	d := &document{raw: raw}
	docs, err := p.parseYAML(raw, 0)
	if err != nil {
		// Helm and Kubernetes read manifests with an older, laxer parser.
		if docs, d.err = p.parseLax(raw), err; docs == nil {
			return d
		}
		d.err = nil
	}
	if len(docs) == 0 || docs[0].kind == scalarNode && docs[0].value == "" {
		return nil
	}
	d.root = docs[0]
	d.kind = d.root.text("kind")
	if d.kind != crdKind {
		p.expandSecrets(d.root)
		p.expand(d.root, 0, 0)
	}
	return d
}

const crdKind = "CustomResourceDefinition"

// leaf is a scalar of a document.
type leaf struct {
	path  string // starts with a dot or bracket
	value string
}

func (d *document) allLeaves() []leaf {
	d.leafOnce.Do(func() {
		switch {
		case d.root == nil:
			d.leaves = []leaf{{"", d.raw}}
		case d.kind == crdKind:
			d.leaves = []leaf{{"", fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(d.raw)))}}
		default:
			d.collect(d.root, "")
		}
		d.leafAt = make(map[string]int, len(d.leaves))
		for i, l := range d.leaves {
			d.leafAt[l.path] = i
		}
	})
	return d.leaves
}

func (d *document) collect(n *node, path string) {
	switch n.kind {
	case mappingNode:
		for i, k := range n.keys {
			d.collect(n.items[i], path+keyStep(k))
		}
	case sequenceNode:
		steps := itemSteps(n)
		for i, item := range n.items {
			d.collect(item, path+steps[i])
		}
	default:
		before := len(d.leaves)
		for i, doc := range n.docs {
			d.collect(doc, path+formStep(n.form, i))
		}
		if len(d.leaves) == before {
			d.leaves = append(d.leaves, leaf{path, n.value})
		}
	}
}

// keyStep is a mapping key in a path: .word, or ["any text"].
func keyStep(key string) string {
	if isWord(key) {
		return "." + key
	}
	return "[" + strconv.Quote(key) + "]"
}

// isWord tells whether s consists of letters, digits, _ and - alone.
func isWord(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return s != ""
}

func indexStep(i int) string { return "[" + strconv.Itoa(i) + "]" }

// itemSteps are the steps to the items of a list: their indexes, but the names of
// env entries, so that one more entry leaves the positions of the others alone.
func itemSteps(n *node) []string {
	steps, names, values := make([]string, len(n.items)), map[string]bool{}, false
	for i, item := range n.items {
		name := item.text("name")
		value := item.get("value") != nil || item.get("valueFrom") != nil
		if name == "" || names[name] || len(item.keys) > 2 || len(item.keys) == 2 && !value {
			values = false
			break
		}
		names[name], values = true, values || value
		steps[i] = "[" + strconv.Quote(name) + "]"
	}
	if !values {
		for i := range steps {
			steps[i] = indexStep(i)
		}
	}
	return steps
}

// formStep enters document i of a string.
func formStep(form string, i int) string {
	if i == 0 {
		return "|" + form
	}
	return "|" + form + "/" + strconv.Itoa(i)
}

// docCache keeps parsed documents by their text, so that rendering again costs
// only what changed.
type docCache struct {
	mu    sync.Mutex
	docs  map[string]*document
	bytes int
}

// maxCache is the text that a cache may hold before it starts anew.
const maxCache = 64 << 20

func (c *docCache) parse(raw string) *document {
	c.mu.Lock()
	d, ok := c.docs[raw]
	c.mu.Unlock()
	if ok {
		return d
	}
	d = parseDocument(raw)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.docs == nil || c.bytes > maxCache {
		c.docs, c.bytes = map[string]*document{}, 0
	}
	c.docs[raw] = d
	c.bytes += len(raw)
	return d
}

// all parses the documents of a rendered text; those that hold nothing are left
// out.
func (c *docCache) all(text string) []*document {
	var docs []*document
	for _, raw := range splitDocuments(text) {
		if d := c.parse(raw); d != nil {
			docs = append(docs, d)
		}
	}
	return docs
}
