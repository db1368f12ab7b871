package rewrite

import (
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

var errDeep = errors.New("document nests too deep")

// parseYAML reads all documents of a text.
func parseYAML(text string) ([]*node, error) {
	dec := yaml.NewDecoder(strings.NewReader(text))
	b := &builder{text: text, lines: lineStarts(text), known: make(map[*yaml.Node]*node)}
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
		n, err := b.node(y.Content[0], 0)
		if err != nil {
			return nil, err
		}
		docs = append(docs, n)
	}
}

// A builder turns the parser's nodes into ours.
type builder struct {
	text  string
	lines []int
	known map[*yaml.Node]*node
}

func (b *builder) node(y *yaml.Node, depth int) (*node, error) {
	if depth > maxDepth {
		return nil, errDeep
	}
	n := new(node)
	b.known[y] = n
	switch y.Kind {
	case yaml.AliasNode:
		return b.alias(n, y)
	case yaml.ScalarNode:
		tag := y.ShortTag()
		n.value, n.str = y.Value, tag == "!!str" || tag == "!!binary"
		if at, ok := b.start(y); ok {
			n.src = align(b.text, at, y.Value, styleOf(y))
		}
	case yaml.SequenceNode:
		n.kind = listKind
		for _, c := range y.Content {
			item, err := b.node(c, depth+1)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, item)
		}
	case yaml.MappingNode:
		n.kind = mapKind
		for i := 0; i+1 < len(y.Content); i += 2 {
			k := y.Content[i]
			b.known[k] = &node{value: k.Value} // an anchor in a key is never edited
			if k.Kind == yaml.AliasNode {
				k = k.Alias
			}
			item, err := b.node(y.Content[i+1], depth+1)
			if err != nil {
				return nil, err
			}
			n.keys = append(n.keys, k.Value)
			n.merge = append(n.merge, k.ShortTag() == "!!merge")
			n.items = append(n.items, item)
		}
	}
	return n, nil
}

// alias reads *name; only one of a scalar can be replaced by a text.
func (b *builder) alias(n *node, y *yaml.Node) (*node, error) {
	n.kind, n.target = aliasKind, b.known[y.Alias]
	if n.target == nil {
		return nil, errors.New("an alias without an anchor")
	}
	if at, ok := b.offset(y.Line, y.Column); ok && strings.HasPrefix(b.text[at:], "*"+y.Value) {
		n.src = &source{from: []int32{int32(at)}, to: []int32{int32(at + 1 + len(y.Value))}}
	}
	return n, nil
}

func styleOf(y *yaml.Node) style {
	switch {
	case y.Style&yaml.DoubleQuotedStyle != 0:
		return double
	case y.Style&yaml.SingleQuotedStyle != 0:
		return single
	case y.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return block
	}
	return plain
}

// start is where a scalar begins, behind its anchor and tag.
func (b *builder) start(y *yaml.Node) (int, bool) {
	at, ok := b.offset(y.Line, y.Column)
	for ok && at < len(b.text) && (b.text[at] == '&' || b.text[at] == '!') {
		n := strings.IndexAny(b.text[at:], " \t\r\n")
		if n < 0 {
			return 0, false
		}
		at += n
		for at < len(b.text) && isBlank(b.text[at]) {
			at++
		}
	}
	return at, ok
}

// offset is the byte of a line and column, both counted from 1 and the column in
// characters.
func (b *builder) offset(line, column int) (int, bool) {
	if line < 1 || line > len(b.lines) {
		return 0, false
	}
	at := b.lines[line-1]
	for range column - 1 {
		if at >= len(b.text) {
			return 0, false
		}
		_, n := utf8.DecodeRuneInString(b.text[at:])
		at += n
	}
	return at, at <= len(b.text)
}

// lineStarts finds where lines begin, as the parser counts them: it takes NEL, LS
// and PS for line ends too.
func lineStarts(text string) []int {
	starts := []int{0}
	for i := 0; i < len(text); i++ {
		n := 0
		switch c := text[i]; {
		case c == '\r' && strings.HasPrefix(text[i:], "\r\n"):
			n = 2
		case c == '\r', c == '\n':
			n = 1
		case c == 0xc2 && strings.HasPrefix(text[i:], "\u0085"):
			n = 2
		case c == 0xe2 && (strings.HasPrefix(text[i:], "\u2028") || strings.HasPrefix(text[i:], "\u2029")):
			n = 3
		}
		if n > 0 {
			i += n - 1
			starts = append(starts, i+1)
		}
	}
	return starts
}
