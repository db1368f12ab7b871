package chart

import "errors"

// Documents are sent parsed, each once: to read YAML takes longer than all the rest,
// and more memory than is there where somebody has written it for that.

var forms = []string{"", "yaml", "json", "base64"}

// A treeSize counts what a document consists of.
type treeSize struct{ nodes, items, keys int }

func (s *treeSize) add(n *node) {
	s.nodes++
	s.items += len(n.items) + len(n.docs)
	s.keys += len(n.keys)
	for _, i := range n.items {
		s.add(i)
	}
	for _, d := range n.docs {
		s.add(d)
	}
}

// document writes a document, all but its text.
func (w *wireWriter) document(d *document) {
	w.text(d.kind)
	w.flag(d.err != nil)
	if d.err != nil {
		w.text(d.err.Error())
		w.flag(errors.Is(d.err, errDocumentLimit))
	}
	w.flag(d.root != nil)
	if d.root == nil {
		return
	}
	var size treeSize
	size.add(d.root)
	w.number(size.nodes)
	w.number(size.items)
	w.number(size.keys)
	w.node(d.root)
}

const (
	wireString   = 4 // is added to the kind of a node that is a string
	wireEmbedded = 8 // documents in it follow
)

func (w *wireWriter) node(n *node) {
	c := byte(n.kind)
	if n.str {
		c |= wireString
	}
	if len(n.docs) > 0 {
		c |= wireEmbedded
	}
	w.byte(c)
	switch n.kind {
	case scalarNode:
		w.text(n.value)
	case mappingNode:
		w.number(len(n.items))
		for i, item := range n.items {
			w.text(n.keys[i])
			w.node(item)
		}
	default:
		w.number(len(n.items))
		for _, item := range n.items {
			w.node(item)
		}
	}
	if len(n.docs) == 0 {
		return
	}
	for i, f := range forms {
		if f == n.form {
			w.byte(byte(i))
		}
	}
	w.number(len(n.docs))
	for _, d := range n.docs {
		w.node(d)
	}
}

// document reads one with the given text, and of so many nodes at most; that number
// shrinks.
func (r *wireReader) document(raw string, left *int) *document {
	d := &document{raw: raw, kind: r.text()}
	if r.flag() {
		d.err = errors.New(r.text())
		if r.flag() {
			d.err = errDocumentLimit
		}
	}
	if !r.flag() {
		return d
	}
	t := treeReader{wireReader: r, size: treeSize{r.count(2), r.count(1), r.count(1)}}
	if *left -= t.size.nodes; *left < 0 {
		r.fail()
		return d
	}
	t.nodes, t.items, t.keys = make([]node, t.size.nodes), make([]*node, t.size.items), make([]string, t.size.keys)
	if d.root = t.node(0); len(t.nodes)+len(t.items)+len(t.keys) > 0 {
		r.fail()
	}
	return d
}

// A treeReader reads nodes into memory that is taken once for all of them.
type treeReader struct {
	*wireReader
	size  treeSize
	nodes []node
	items []*node
	keys  []string
}

func (t *treeReader) node(depth int) *node {
	if len(t.nodes) == 0 || depth > maxTreeDepth {
		t.fail()
		return &node{}
	}
	n := &t.nodes[0]
	t.nodes = t.nodes[1:]
	c := t.byte()
	n.kind, n.str = nodeKind(c&3), c&wireString != 0
	switch n.kind {
	case scalarNode:
		n.value = t.text()
	case mappingNode:
		n.items = t.list(t.count(2))
		if len(n.items) > len(t.keys) {
			t.fail()
			return n
		}
		n.keys, t.keys = t.keys[:len(n.items):len(n.items)], t.keys[len(n.items):]
		for i := range n.items {
			n.keys[i] = t.text()
			n.items[i] = t.node(depth + 1)
		}
	case sequenceNode:
		n.items = t.list(t.count(2))
		for i := range n.items {
			n.items[i] = t.node(depth + 1)
		}
	default:
		t.fail()
	}
	if c&wireEmbedded != 0 {
		n.form = forms[int(t.byte())%len(forms)]
		n.docs = t.list(t.count(2))
		for i := range n.docs {
			n.docs[i] = t.node(depth + 1)
		}
	}
	return n
}

func (t *treeReader) list(n int) []*node {
	if n > len(t.items) {
		t.fail()
		return nil
	}
	list := t.items[:n:n]
	t.items = t.items[n:]
	return list
}

// maxTreeDepth is how deep documents in strings in documents nest.
const maxTreeDepth = (maxDepth + 1) * (maxEmbedDepth + 3)
