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
	"errors"
	"fmt"
	"io"
	"strings"
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
	// Syntax first: the token reader below is laxer than this.
	if !json.Valid(data) {
		return fmt.Errorf("not JSON: %w", json.Unmarshal(data, new(json.RawMessage)))
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var stack []*scope
	for values := 0; ; values++ {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("not JSON: %w", err)
		}
		if values > r.Values {
			return fmt.Errorf("more than %d JSON values", r.Values)
		}
		if stack, err = r.step(stack, token); err != nil {
			return err
		}
	}
}

// scope is an object or an array that is being read.
type scope struct {
	keys    map[string]bool // nil: an array
	free    bool
	wantKey bool
	key     string // the last one
}

// step takes the next token.
func (r Rules) step(stack []*scope, token json.Token) ([]*scope, error) {
	var top *scope
	if len(stack) > 0 {
		top = stack[len(stack)-1]
	}
	delim, _ := token.(json.Delim)
	switch {
	case delim == '}' || delim == ']':
		return stack[:len(stack)-1], nil
	case top != nil && top.wantKey:
		top.wantKey = false
		return stack, r.addKey(top, token)
	case top != nil:
		top.wantKey = top.keys != nil // after this value
	}
	if delim == 0 {
		return stack, nil
	}
	if len(stack) == r.Depth {
		return nil, fmt.Errorf("JSON deeper than %d levels", r.Depth)
	}
	inner := &scope{free: top != nil && (top.free || r.Free != "" && top.key == r.Free)}
	if delim == '{' {
		inner.keys, inner.wantKey = make(map[string]bool), true
	}
	return append(stack, inner), nil
}

func (r Rules) addKey(s *scope, token json.Token) error {
	s.key, _ = token.(string)
	same := s.key
	if r.AnyCase && !s.free {
		same = strings.ToLower(same)
	}
	if s.keys[same] {
		return fmt.Errorf("JSON key %q twice in one object", s.key)
	}
	s.keys[same] = true
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
