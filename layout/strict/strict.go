// Package strict reads JSON that came from outside, so that every parser reads
// the same out of it and none takes more memory than foreseen.
//
// The contract: [Rules.Decode] takes a document only if it is valid JSON (RFC
// 8259) with nothing after its end, has no key twice in one object, no key in
// another case than the one with a meaning, and stays within the limits.
// encoding/json alone takes the last of two keys, and any case.
//
//	rules := strict.Rules{Bytes: 4 << 20, Depth: 32, Values: 200_000, Names: []string{"digest"}}
//	var doc struct{ Digest string }
//	err := rules.Decode(data, &doc)
package strict

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Rules say what a document may be. A limit of 0 allows nothing.
type Rules struct {
	Bytes  int // length of the document
	Depth  int // objects and arrays inside each other
	Values int // tokens: bounds the memory that decoding takes

	// Names are keys that may stand in no other case.
	Names []string
	// AnyCase takes keys that differ in case alone for the same key.
	AnyCase bool
	// Free is the key below which names are a user's: neither Names nor AnyCase
	// hold there.
	Free string
	// Closed refuses keys that the value to decode into does not have.
	Closed bool
}

// Decode checks one document and decodes it as encoding/json does.
func (r Rules) Decode(data []byte, into any) error {
	if err := r.Check(data); err != nil {
		return err
	}
	if !r.Closed {
		return json.Unmarshal(data, into) // a decoder would copy all of it
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	return dec.Decode(into)
}

// Check checks one document without decoding it. Closed plays no part.
func (r Rules) Check(data []byte) error {
	if len(data) > r.Bytes {
		return fmt.Errorf("%d bytes are more than the %d allowed", len(data), r.Bytes)
	}
	// Syntax first: what follows relies on it.
	if !json.Valid(data) {
		return fmt.Errorf("not JSON: %w", json.Unmarshal(data, new(json.RawMessage)))
	}
	w := walk{rules: r}
	for at := 0; at < len(data); {
		start := at
		switch data[at] {
		case ' ', '\t', '\n', '\r', ',', ':':
			at++
			continue
		case '{', '}', '[', ']':
			at++
		case '"':
			at = textEnd(data, at)
		default:
			at = wordEnd(data, at)
		}
		if err := w.step(data[start:at]); err != nil {
			return err
		}
	}
	return nil
}

// textEnd is where the text ends that begins at a quote.
func textEnd(data []byte, at int) int {
	for at++; data[at] != '"'; at++ {
		if data[at] == '\\' {
			at++
		}
	}
	return at + 1
}

// wordEnd is where a number, true, false or null ends.
func wordEnd(data []byte, at int) int {
	for at < len(data) && !strings.ContainsRune(",]} \t\n\r", rune(data[at])) {
		at++
	}
	return at
}

// A walk is how far a document is checked.
type walk struct {
	rules  Rules
	tokens int
	depth  int
	scopes []scope // those deeper than depth have ended
}

// scope is an object or an array that is being read.
type scope struct {
	object  bool
	free    bool
	wantKey bool
	key     string // the last one
	keys    []string
	more    map[string]bool // keys beyond the first few
}

// few is how many keys are rather compared than looked up.
const few = 16

// has tells whether a key was there before, and notes it.
func (s *scope) has(key string) bool {
	if slices.Contains(s.keys, key) || s.more[key] {
		return true
	}
	if len(s.keys) < few {
		s.keys = append(s.keys, key)
		return false
	}
	if s.more == nil {
		s.more = make(map[string]bool)
	}
	s.more[key] = true
	return false
}

// step takes the next token.
func (w *walk) step(token []byte) error {
	if w.tokens > w.rules.Values {
		return fmt.Errorf("more than %d JSON values", w.rules.Values)
	}
	w.tokens++
	var top *scope
	if w.depth > 0 {
		top = &w.scopes[w.depth-1]
	}
	kind := token[0]
	switch {
	case kind == '}' || kind == ']':
		w.depth--
		return nil
	case top != nil && top.wantKey:
		top.wantKey = false
		return w.rules.addKey(top, token)
	case top != nil:
		top.wantKey = top.object // after this value
	}
	if kind != '{' && kind != '[' {
		return nil
	}
	if w.depth == w.rules.Depth {
		return fmt.Errorf("JSON deeper than %d levels", w.rules.Depth)
	}
	inner := scope{object: kind == '{', wantKey: kind == '{', free: top != nil && (top.free || w.rules.Free != "" && top.key == w.rules.Free)}
	if w.depth == len(w.scopes) {
		w.scopes = append(w.scopes, scope{})
	}
	inner.keys = w.scopes[w.depth].keys[:0]
	w.scopes[w.depth] = inner
	w.depth++
	return nil
}

func (r Rules) addKey(s *scope, token []byte) error {
	s.key = string(token[1 : len(token)-1])
	if bytes.ContainsRune(token, '\\') || !utf8.Valid(token) {
		if err := json.Unmarshal(token, &s.key); err != nil {
			return fmt.Errorf("not JSON: %w", err)
		}
	}
	same := s.key
	if r.AnyCase && !s.free {
		same = strings.ToLower(same)
	}
	if s.has(same) {
		return fmt.Errorf("JSON key %q twice in one object", s.key)
	}
	if s.free {
		return nil
	}
	for _, name := range r.Names {
		if s.key != name && strings.EqualFold(s.key, name) {
			return fmt.Errorf("JSON key %q in place of %q", s.key, name)
		}
	}
	return nil
}
