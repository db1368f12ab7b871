package chart

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
	kyaml "sigs.k8s.io/yaml"
)

type nodeKind uint8

const (
	scalarNode nodeKind = iota
	mappingNode
	sequenceNode
)

// node is a value of a manifest, or of a document inside one of its strings.
type node struct {
	kind  nodeKind
	str   bool     // a scalar that is a string, not a number, boolean or null
	value string   // the scalar's text as written
	keys  []string // of a mapping, in order
	items []*node

	form string  // how docs stand in the string: yaml, json, base64, or empty
	docs []*node // documents inside the string
}

// get returns the value of a mapping's key, or nil.
func (n *node) get(key string) *node {
	if n == nil || n.kind != mappingNode {
		return nil
	}
	for i, k := range n.keys {
		if k == key {
			return n.items[i]
		}
	}
	return nil
}

// text returns the scalar under the key, or "".
func (n *node) text(key string) string {
	if v := n.get(key); v != nil && v.kind == scalarNode {
		return v.value
	}
	return ""
}

// Limits of one manifest document, so that aliases and strings within strings
// cannot blow up. Variables for the tests.
var (
	maxNodes = 2_000_000
	maxPaths = 128 << 20 // bytes of the paths of all nodes together
)

const (
	maxDepth      = 200
	maxEmbedDepth = 6
)

var errDocumentLimit = errors.New("document is too large or nests too deep")

// parser turns YAML and JSON into nodes.
type parser struct {
	nodes int
	paths int // bytes
}

// place is where a node stands: how deep, and how long the path to it is.
type place struct{ depth, path int }

// below is the place of an entry, whose step in the path has some bytes.
func (at place) below(step int) place { return place{at.depth + 1, at.path + step} }

func (p *parser) add(at place) error {
	p.nodes++
	p.paths += at.path
	if p.nodes > maxNodes || p.paths > maxPaths || at.depth > maxDepth {
		return errDocumentLimit
	}
	return nil
}

// parseYAML reads all documents of a text at the end of a path of so many bytes;
// empty ones are left out.
func (p *parser) parseYAML(text string, path int) ([]*node, error) {
	dec := yaml.NewDecoder(strings.NewReader(text))
	var docs []*node
	for {
		var y yaml.Node
		err := dec.Decode(&y)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return nil, err
		}
		if y.Kind != yaml.DocumentNode || len(y.Content) == 0 {
			continue
		}
		n, err := p.fromYAML(y.Content[0], place{path: path})
		if err != nil {
			return nil, err
		}
		docs = append(docs, n)
	}
}

func (p *parser) fromYAML(y *yaml.Node, at place) (*node, error) {
	if err := p.add(at); err != nil {
		return nil, err
	}
	switch y.Kind {
	case yaml.AliasNode:
		return p.fromYAML(y.Alias, at.below(0))
	case yaml.ScalarNode:
		tag := y.ShortTag()
		return &node{value: y.Value, str: tag == "!!str" || tag == "!!binary"}, nil
	case yaml.SequenceNode:
		n := &node{kind: sequenceNode, items: make([]*node, 0, len(y.Content))}
		for _, c := range y.Content {
			item, err := p.item(func() (*node, error) { return p.fromYAML(c, at.below(len("[0]"))) })
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, item)
		}
		return n, nil
	case yaml.MappingNode:
		return p.fromMapping(y, at)
	}
	return nil, fmt.Errorf("unexpected yaml node kind %d", y.Kind)
}

// item reads an element of a list. What names it is known only then, and counts
// for the paths of everything in it.
func (p *parser) item(read func() (*node, error)) (*node, error) {
	before := p.nodes
	n, err := read()
	if err != nil {
		return nil, err
	}
	if p.paths += longestName(n) * (p.nodes - before); p.paths > maxPaths {
		return nil, errDocumentLimit
	}
	return n, nil
}

// longestName is the most that an element of a list adds to a path, in bytes.
func longestName(n *node) int {
	most := 0
	for _, key := range naming {
		if size := len(n.text(key)); size <= maxName {
			most = max(most, size)
		}
	}
	return most
}

var errKey = errors.New("a mapping key is not a scalar")

func (p *parser) fromMapping(y *yaml.Node, at place) (*node, error) {
	b := newMapping(len(y.Content) / 2)
	var merged []*node
	for i := 0; i+1 < len(y.Content); i += 2 {
		k, v := y.Content[i], y.Content[i+1]
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.Kind != yaml.ScalarNode {
			return nil, errKey
		}
		item, err := p.fromYAML(v, at.below(len(k.Value)))
		if err != nil {
			return nil, err
		}
		if k.ShortTag() == "!!merge" {
			merged = append(merged, item)
			continue
		}
		b.set(k.Value, item)
	}
	for _, m := range merged {
		b.merge(m)
	}
	return b.node, nil
}

// mapping builds a mapping node. Of a key that is given twice the last value
// counts, as it does for JSON.
type mapping struct {
	node *node
	at   map[string]int
}

func newMapping(size int) *mapping {
	return &mapping{node: &node{kind: mappingNode}, at: make(map[string]int, size)}
}

func (b *mapping) set(key string, v *node) {
	if i, ok := b.at[key]; ok {
		b.node.items[i] = v
		return
	}
	b.at[key] = len(b.node.keys)
	b.node.keys = append(b.node.keys, key)
	b.node.items = append(b.node.items, v)
}

// merge adds the entries that are lacking (YAML's << key).
func (b *mapping) merge(m *node) {
	switch m.kind {
	case sequenceNode:
		for _, e := range m.items {
			b.merge(e)
		}
	case mappingNode:
		for i, k := range m.keys {
			if _, ok := b.at[k]; !ok {
				b.set(k, m.items[i])
			}
		}
	}
}

// parseJSON reads one JSON value at the end of a path of so many bytes.
func (p *parser) parseJSON(text string, path int) (*node, error) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	return p.fromJSON(dec, place{path: path})
}

func (p *parser) fromJSON(dec *json.Decoder, at place) (*node, error) {
	if err := p.add(at); err != nil {
		return nil, err
	}
	tok, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch t := tok.(type) {
	case string:
		return &node{value: t, str: true}, nil
	case json.Delim:
		return p.fromBrackets(dec, t, at)
	case nil:
		return &node{value: "null"}, nil
	default:
		return &node{value: fmt.Sprint(t)}, nil
	}
}

// parseLax reads one document as Helm does; nil when Helm cannot read it either.
func (p *parser) parseLax(text string) []*node {
	b, err := kyaml.YAMLToJSON([]byte(text))
	if err != nil {
		return nil
	}
	n, err := p.parseJSON(string(b), 0)
	if err != nil {
		return nil
	}
	return []*node{n}
}

// fromBrackets reads the rest of an object or array.
func (p *parser) fromBrackets(dec *json.Decoder, open json.Delim, at place) (*node, error) {
	n, b := &node{kind: sequenceNode}, newMapping(0)
	if open == '{' {
		n = b.node
	}
	for dec.More() {
		var key json.Token
		var err error
		if open == '{' {
			if key, err = dec.Token(); err != nil {
				return nil, err
			}
		}
		k, isKey := key.(string)
		read := func() (*node, error) { return p.fromJSON(dec, at.below(len(k)+1)) }
		if open == '[' {
			element := read
			read = func() (*node, error) { return p.item(element) }
		}
		item, err := read()
		if err != nil {
			return nil, err
		}
		if isKey {
			b.set(k, item)
		} else {
			n.items = append(n.items, item)
		}
	}
	_, err := dec.Token() // the closing bracket
	return n, err
}

// expand looks for documents inside the strings below n, which stands at the end
// of a path of so many bytes.
func (p *parser) expand(n *node, depth, path int) {
	if depth > maxEmbedDepth {
		return
	}
	if n.kind == scalarNode {
		if n.str && n.docs == nil {
			n.form, n.docs = p.embedded(n.value, path)
			for _, d := range n.docs {
				p.expand(d, depth+1, path)
			}
		}
		return
	}
	for i, item := range n.items {
		below := path + longestName(item)
		if n.kind == mappingNode {
			below = path + len(n.keys[i])
		}
		p.expand(item, depth, below)
	}
}

// embedded parses a string that is itself JSON, or YAML written as a block.
func (p *parser) embedded(s string, path int) (form string, docs []*node) {
	t := strings.TrimSpace(s)
	if len(t) < 5 {
		return "", nil
	}
	if (t[0] == '{' || t[0] == '[') && json.Valid([]byte(t)) {
		n, err := p.parseJSON(t, path)
		if err != nil || len(n.items) == 0 {
			return "", nil
		}
		return "json", []*node{n}
	}
	if !strings.Contains(s, "\n") || !strings.ContainsAny(t, ":-") || strings.HasPrefix(t, "#!") {
		return "", nil
	}
	docs, err := p.parseYAML(s, path)
	if err != nil || len(docs) == 0 {
		return "", nil
	}
	for _, d := range docs {
		if d.kind == scalarNode || len(d.items) == 0 {
			return "", nil
		}
	}
	return "yaml", docs
}

// expandSecrets decodes the data of Secrets.
func (p *parser) expandSecrets(root *node) {
	if root.text("kind") == "List" {
		if items := root.get("items"); items != nil {
			for _, item := range items.items {
				p.expandSecrets(item)
			}
		}
		return
	}
	if root.text("kind") != "Secret" {
		return
	}
	data := root.get("data")
	if data == nil || data.kind != mappingNode {
		return
	}
	for i, v := range data.items {
		if v.kind != scalarNode || len(v.value) < 4 {
			continue
		}
		plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(v.value))
		if err != nil || len(plain) == 0 || !utf8.Valid(plain) || bytes.IndexByte(plain, 0) >= 0 {
			continue
		}
		inner := &node{value: string(plain), str: true}
		p.expand(inner, 1, len(data.keys[i]))
		v.form, v.docs = "base64", []*node{inner}
	}
}
