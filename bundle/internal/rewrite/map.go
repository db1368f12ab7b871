package rewrite

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/lazy"
)

// A Map maps references, exactly as a chart writes them, to others. As a text it
// has one line "OLD NEW" for each, and # begins a comment.
type Map map[string]string

// reference is the characters that references are made of.
var reference = lazy.Regexp(`^[A-Za-z0-9][-A-Za-z0-9._/:@+]*$`)

const hintMap = "want OLD NEW on each line, as import writes them into rewrite.map"

// Parse reads a map; name stands in errors, which are *fault.ConfigError.
func Parse(b []byte, name string) (Map, error) {
	m := make(Map)
	lines := bufio.NewScanner(bytes.NewReader(b))
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if len(words) != 2 {
			return nil, &fault.ConfigError{File: name, Line: n, What: "want two references, the old and the new", Advice: hintMap}
		}
		for _, w := range words {
			if !reference().MatchString(w) {
				return nil, &fault.ConfigError{File: name, Line: n, What: fmt.Sprintf("%q is no reference", w), Advice: hintMap}
			}
		}
		if old, ok := m[words[0]]; ok && old != words[1] {
			return nil, &fault.ConfigError{File: name, Line: n, What: words[0] + " is mapped twice", Advice: hintMap}
		}
		m[words[0]] = words[1]
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}

// Format writes the map, sorted.
func (m Map) Format() []byte {
	var b bytes.Buffer
	for _, old := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, "%s %s\n", old, m[old])
	}
	return b.Bytes()
}

// Rewrite replaces the references of the map in a stream of manifests, and
// leaves every other byte as it is. unused lists the lines that matched nothing.
func (m Map) Rewrite(stream []byte) (out []byte, unused []string) {
	r := &rewriter{m: m, used: make(map[string]bool)}
	text := string(stream)
	done := apply(text, r.stream(text))
	for _, old := range slices.Sorted(maps.Keys(m)) {
		if !r.used[old] {
			unused = append(unused, old)
		}
	}
	return []byte(done), unused
}
