package layout

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Limits on a JSON document. The values bound the memory that decoding takes:
// an index of 20,000 references has fewer.
const (
	maxJSONDepth  = 32
	maxJSONValues = 200_000
)

// knownFields are the keys that have a meaning in indexes and manifests.
// encoding/json would take them in any case, other parsers would not.
var knownFields = []string{
	"schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests",
	"subject", "annotations", "digest", "size", "urls", "data", "fsLayers",
	"platform", "architecture", "os", "os.version", "os.features", "variant",
}

// decodeJSON decodes one document of at most max bytes, after it made sure
// that every parser reads the same out of it: no key twice, no known key in
// another case, nothing after the end. strict refuses unknown keys as well.
func decodeJSON(data []byte, max int, strict bool, into any) error {
	if len(data) > max {
		return fmt.Errorf("%d bytes are more than the %d allowed", len(data), max)
	}
	// Syntax first: the token reader below is laxer than this.
	if err := json.Unmarshal(data, new(json.RawMessage)); err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	if err := checkJSON(data); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if strict {
		dec.DisallowUnknownFields()
	}
	return dec.Decode(into)
}

// scope is an object or an array that is being read.
type scope struct {
	keys    map[string]bool // nil: an array
	free    bool            // keys are the user's, as in annotations
	wantKey bool
	key     string // the last one
}

// checkJSON checks keys, depth and number of values of a valid document.
func checkJSON(data []byte) error {
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
		if values > maxJSONValues {
			return fmt.Errorf("more than %d JSON values", maxJSONValues)
		}
		if stack, err = step(stack, token); err != nil {
			return err
		}
	}
}

// step takes the next token.
func step(stack []*scope, token json.Token) ([]*scope, error) {
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
		return stack, top.addKey(token)
	case top != nil:
		top.wantKey = top.keys != nil // after this value
	}
	if delim == 0 {
		return stack, nil
	}
	if len(stack) == maxJSONDepth {
		return nil, fmt.Errorf("JSON deeper than %d levels", maxJSONDepth)
	}
	inner := &scope{free: top != nil && (top.free || top.key == "annotations")}
	if delim == '{' {
		inner.keys, inner.wantKey = make(map[string]bool), true
	}
	return append(stack, inner), nil
}

func (s *scope) addKey(token json.Token) error {
	s.key, _ = token.(string)
	if s.keys[s.key] {
		return fmt.Errorf("JSON key %q twice in one object", s.key)
	}
	s.keys[s.key] = true
	if s.free {
		return nil
	}
	for _, known := range knownFields {
		if s.key != known && strings.EqualFold(s.key, known) {
			return fmt.Errorf("JSON key %q in place of %q", s.key, known)
		}
	}
	return nil
}
