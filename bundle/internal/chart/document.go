package chart

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
)

// document is one parsed manifest. It is immutable once parsed, and shared by
// all renders of a chart that produce the same text.
type document struct {
	root *node // nil when the text is no YAML
	raw  string
	kind string
	err  error // why there is no root

	nodes, paths int // of the tree, and bytes of the paths to all of them

	leafOnce sync.Once
	leaves   []leaf
	leafAt   map[Path]int

	branchOnce sync.Once
	branch     map[Path]bool

	findOnce sync.Once
	found    []found

	remarkOnce sync.Once
	remarks    []Remark
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
	d.nodes, d.paths = p.nodes, p.paths
	return d
}

const crdKind = "CustomResourceDefinition"

// leaf is a scalar of a document.
type leaf struct {
	path  Path
	value string
}

func (d *document) allLeaves() []leaf {
	d.leafOnce.Do(func() {
		switch {
		case d.root == nil:
			d.leaves = []leaf{{value: d.raw}}
		case d.kind == crdKind:
			d.leaves = []leaf{{value: fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(d.raw)))}}
		default:
			d.collect(d.root, Path{})
		}
		d.leafAt = make(map[Path]int, len(d.leaves))
		for i, l := range d.leaves {
			d.leafAt[l.path] = i
		}
	})
	return d.leaves
}

func (d *document) collect(n *node, at Path) {
	switch n.kind {
	case mappingNode:
		for i, k := range n.keys {
			d.collect(n.items[i], at.Key(k))
		}
	case sequenceNode:
		paths := itemPaths(n, at)
		for i, item := range n.items {
			d.collect(item, paths[i])
		}
	default:
		before := len(d.leaves)
		for i, doc := range n.docs {
			d.collect(doc, at.Into(n.form, i))
		}
		if len(d.leaves) == before {
			d.leaves = append(d.leaves, leaf{at, n.value})
		}
	}
}

// naming are keys that tell the elements of a list apart.
var naming = []string{"name", "key", "id", "mountPath", "containerPort"}

// maxName limits what an element is addressed by, in bytes.
const maxName = 128

// itemNames are the names of the elements of a list: what stands under the first
// key of naming that all of them have, and no two the same. It is nil where
// nothing names them; then they are addressed by their index.
func itemNames(n *node) []string {
	if len(n.items) == 0 {
		return nil
	}
	for _, key := range naming {
		if names := namesBy(n, key); names != nil {
			return names
		}
	}
	return nil
}

func namesBy(n *node, key string) []string {
	names, seen := make([]string, len(n.items)), make(map[string]bool, len(n.items))
	for i, item := range n.items {
		name := item.text(key)
		if name == "" || len(name) > maxName || seen[name] || len(item.keys) < 2 || item.get(key).docs != nil {
			return nil
		}
		if key != "mountPath" && (strings.ContainsAny(name, "/:@") || namesImage(item)) {
			return nil // it may be a reference, and that moves
		}
		names[i], seen[name] = name, true
	}
	return names
}

// namesImage tells whether the name of a list's element is the repository of an
// image: {name: web, tag: "1"}.
func namesImage(item *node) bool {
	return (item.get("tag") != nil || item.get("version") != nil || item.get("digest") != nil || item.get("registry") != nil || item.get("newTag") != nil) &&
		item.get("repository") == nil && item.get("repo") == nil && item.get("image") == nil
}

// itemPaths are the paths of the elements of a list.
func itemPaths(n *node, at Path) []Path {
	names, paths := itemNames(n), make([]Path, len(n.items))
	for i := range n.items {
		if names != nil {
			paths[i] = at.Item(names[i])
		} else {
			paths[i] = at.Index(i)
		}
	}
	return paths
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
