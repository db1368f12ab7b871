package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Limits on the JSON of a record. Its own parts nest a few levels deep; the
// user's values are as deep as a chart makes them. The number of values bounds
// the memory that decoding takes.
const (
	maxRecordDepth  = 100
	maxRecordValues = 1_000_000
)

// checkJSON refuses what two parsers could read in two ways, and what would
// take more memory than a record may: a key twice in one object, in whatever
// case, depth and number of values beyond the limits.
func checkJSON(b []byte) error {
	if !json.Valid(b) {
		// Unmarshal says where.
		if err := json.Unmarshal(b, new(json.RawMessage)); err != nil {
			return err
		}
		return errors.New("not JSON")
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var stack []*jsonScope
	for n := 0; ; n++ {
		t, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if n > maxRecordValues {
			return fmt.Errorf("more than %d JSON values", maxRecordValues)
		}
		if stack, err = nextToken(stack, t); err != nil {
			return err
		}
	}
}

// jsonScope is an object or an array that is being read.
type jsonScope struct {
	keys   map[string]bool // nil: an array
	key    string          // the one whose value comes next; empty: a key comes next
	values bool            // within the values of a chart, where case makes a difference
}

func nextToken(stack []*jsonScope, t json.Token) ([]*jsonScope, error) {
	var top *jsonScope
	if len(stack) > 0 {
		top = stack[len(stack)-1]
	}
	delim, _ := t.(json.Delim)
	if delim == '}' || delim == ']' {
		return stack[:len(stack)-1], nil
	}
	if top != nil && top.keys != nil && top.key == "" {
		return stack, top.addKey(t)
	}
	inner := &jsonScope{values: top != nil && (top.values || top.key == "=values")}
	if top != nil {
		top.key = ""
	}
	if delim == 0 {
		return stack, nil
	}
	if len(stack) == maxRecordDepth {
		return nil, fmt.Errorf("JSON deeper than %d levels", maxRecordDepth)
	}
	if delim == '{' {
		inner.keys = make(map[string]bool)
	}
	return append(stack, inner), nil
}

// addKey takes the next key of an object. An equals sign before it keeps the
// empty key apart from none.
func (s *jsonScope) addKey(t json.Token) error {
	name, _ := t.(string)
	s.key = "=" + name
	same := name
	if !s.values {
		same = strings.ToLower(name)
	}
	if s.keys[same] {
		return fmt.Errorf("JSON key %q twice in one object", name)
	}
	s.keys[same] = true
	return nil
}

// decodeRecord decodes what checkJSON passed. A field that is not known would
// have a meaning that this program does not heed.
func decodeRecord(b []byte) (*Record, error) {
	r := new(Record)
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(r); err != nil {
		return nil, err
	}
	var bad error
	r.texts(func(s *string) {
		if Printable(*s) != *s && bad == nil {
			bad = fmt.Errorf("%q has a character that cannot be printed", *s)
		}
	})
	return r, bad
}
