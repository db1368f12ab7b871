package relocate

import (
	"strings"

	"bundle/bundle/internal/lazy"
	"bundle/bundle/internal/written"
)

// A slot is a place in the values that may hold the beginning of references: a
// whole value, a part of a longer text, or a key that is empty or not there.
type slot struct {
	path path
	text string // the value now; empty for a guessed key
	from int    // the part of text that the slot stands for
	to   int
	// absent is set for a key that the values do not have at all: a schema may
	// refuse it.
	absent bool
	// sentinel is what is put there to find out where it shows up.
	sentinel string
}

// was is the text that the slot replaces.
func (s *slot) was() string { return s.text[s.from:s.to] }

// A kind orders the keys of guesses and values into stages: a registry key in
// front of a reference hides what a key further back would do.
type kind int

const (
	otherKey    kind = iota
	imageKey         // repository, image, and names below such a key
	registryKey      // registry, hub, and hosts below such a key
)

var (
	// notPlaces are words of keys that say something about an image without
	// being a part of its name.
	notPlaces = lazy.Regexp(`(?i)pull|secret|cred|passw|token|tag|digest|version|policy|enabled|port$|size|user|timeout|interval|annotation|label`)
	// registryKeys and imageKeys match the last key of a path, below* the last
	// one where the key above it has a speaking name.
	registryKeys  = lazy.Regexp(`(?i)registry|hub$|mirror`)
	imageKeys     = lazy.Regexp(`(?i)repository|repo$|repos$|image`)
	belowRegistry = lazy.Regexp(`(?i)^(host|hostname|url|server|domain|address|addr|name|base|prefix)$`)
	belowImage    = lazy.Regexp(`(?i)^(host|hostname|url|server|domain|address|base|prefix|namespace|organization|org|project|path|name)$`)
	hostKeys      = lazy.Regexp(`(?i)^(host|hostname|url|server|domain|address|base|prefix)$|prefix$|domain$`)
)

// kindOf judges a key by its name.
func kindOf(p path) kind {
	key, parent := p.key(), p.parentKey()
	if notPlaces().MatchString(key) {
		return otherKey
	}
	switch {
	case registryKeys().MatchString(key):
		return registryKey
	case imageKeys().MatchString(key):
		if hostKeys().MatchString(key) {
			return registryKey // imagePrefix
		}
		return imageKey
	case registryKeys().MatchString(parent) && belowRegistry().MatchString(key):
		return registryKey
	case imageKeys().MatchString(parent) && belowImage().MatchString(key):
		if hostKeys().MatchString(key) {
			return registryKey
		}
		return imageKey
	}
	return otherKey
}

// candidates are the slots of a chart's values, by how likely they move
// something.
type candidates struct {
	leaves []*slot // values that stand in a reference, under a speaking key or with a host
	odd    []*slot // values that stand in a reference, under any other key
	empty  []*slot // empty values with a speaking key
	absent []*slot // keys that only templates know
}

// findCandidates looks for slots in the values as templates see them.
func findCandidates(values map[string]any, raws []string, guesses []path, subcharts map[string]bool) *candidates {
	c := &candidates{}
	known := prefixes(raws)
	walk(nil, values, func(p path, v any) bool {
		if globalCopy(p, subcharts) {
			return false
		}
		switch v := v.(type) {
		case string:
			c.addValue(p, v, known)
		case nil:
			c.addEmpty(p)
		case map[string]any, []any:
			return true
		}
		return false
	})
	for _, p := range guesses {
		if v, ok := p.lookup(values); !ok && reachable(p, values) {
			c.absent = append(c.absent, &slot{path: p, absent: true})
		} else if ok && v == nil && kindOf(p) == otherKey {
			c.absent = append(c.absent, &slot{path: p})
		}
	}
	return c
}

// globalCopy tells whether p leads to the global values as a subchart sees them:
// a copy, or defaults that they replace.
func globalCopy(p path, subcharts map[string]bool) bool {
	return len(p) > 1 && p[len(p)-1] == "global" && subcharts[p[:len(p)-1].String()]
}

func (c *candidates) addEmpty(p path) {
	if len(p) > 0 && kindOf(p) != otherKey {
		c.empty = append(c.empty, &slot{path: p})
	}
}

func (c *candidates) addValue(p path, v string, known prefixSet) {
	if strings.TrimSpace(v) == "" {
		c.addEmpty(p)
		return
	}
	for _, part := range known.find(v) {
		s := &slot{path: p, text: v, from: part[0], to: part[1]}
		host, _ := written.CutHost(s.was())
		if host != "" || kindOf(p) != otherKey || strings.ContainsAny(s.was(), "/:") {
			c.leaves = append(c.leaves, s)
		} else {
			c.odd = append(c.odd, s)
		}
	}
}

// reachable tells whether p can be set without replacing a value that is no
// map.
func reachable(p path, values map[string]any) bool {
	for i := 1; i < len(p); i++ {
		v, ok := p[:i].lookup(values)
		if !ok {
			return true
		}
		if _, isMap := v.(map[string]any); !isMap && v != nil {
			return false
		}
	}
	return true
}

// A prefixSet holds the beginnings of references: each reference whole, and
// cut before every slash, colon and at sign.
type prefixSet map[string]bool

func prefixes(raws []string) prefixSet {
	set := prefixSet{}
	for _, raw := range raws {
		set[raw] = true
		for i := range len(raw) {
			if i > 0 && strings.IndexByte("/:@", raw[i]) >= 0 {
				set[raw[:i]] = true
			}
		}
	}
	return set
}

// find returns the parts of a value that begin a reference: the whole value,
// with a slash at its end or without, or else each word of it that names a
// host and a path, or a whole reference with tag or digest.
func (set prefixSet) find(v string) [][2]int {
	trimmed := strings.TrimSpace(v)
	start := strings.Index(v, trimmed)
	if whole := strings.TrimSuffix(trimmed, "/"); set[whole] || set[strings.ToLower(whole)] && strings.Contains(whole, ".") {
		return [][2]int{{start, start + len(trimmed)}}
	}
	var parts [][2]int
	for _, w := range written.Words(v) {
		word := strings.TrimLeft(w.Text, "._:/@+~-")
		from := w.End - len(word)
		for end := len(word); end > 0; end = strings.LastIndexAny(word[:end], "/:@") {
			begin := word[:end]
			if !set[begin] {
				continue
			}
			if host, rest := written.CutHost(begin); host != "" && (rest != "" || opensTemplate(v[from+end:])) || host == "" && end == len(word) && strings.ContainsAny(begin, ":@") {
				parts = append(parts, [2]int{from, from + end})
			}
			break
		}
	}
	return parts
}

// opensTemplate tells whether the text goes on with a template action, as
// "docker.io/{{ .Values.name }}" does behind its host.
func opensTemplate(rest string) bool {
	return strings.HasPrefix(strings.TrimLeft(rest, "/:"), "{{")
}
