package rewrite

import (
	"encoding/json"
	"fmt"
	"strings"
)

// oneJSON reads one JSON value.
func oneJSON(text string) ([]*node, error) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	n, err := fromJSON(dec, text, 0)
	return []*node{n}, err
}

func fromJSON(dec *json.Decoder, text string, depth int) (*node, error) {
	if depth > maxDepth {
		return nil, errDeep
	}
	at := int(dec.InputOffset())
	tok, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch t := tok.(type) {
	case string:
		n := &node{value: t, str: true}
		if quote := strings.IndexByte(text[at:], '"'); quote >= 0 { // behind comma, colon and blanks
			n.src = align(text, at+quote, t, double)
		}
		return n, nil
	case json.Delim:
		return fromBrackets(dec, text, t, depth)
	case nil:
		return &node{value: "null"}, nil
	default:
		return &node{value: fmt.Sprint(t)}, nil
	}
}

// fromBrackets reads the rest of an object or array.
func fromBrackets(dec *json.Decoder, text string, open json.Delim, depth int) (*node, error) {
	n := &node{kind: listKind}
	if open == '{' {
		n.kind = mapKind
	}
	for dec.More() {
		if open == '{' {
			key, err := dec.Token()
			if err != nil {
				return nil, err
			}
			n.keys, n.merge = append(n.keys, fmt.Sprint(key)), append(n.merge, false)
		}
		item, err := fromJSON(dec, text, depth+1)
		if err != nil {
			return nil, err
		}
		n.items = append(n.items, item)
	}
	_, err := dec.Token() // the closing bracket
	return n, err
}
