package rewrite

import (
	"strings"

	"bundle/bundle/internal/lazy"
	"bundle/bundle/internal/written"
)

func isWordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("._:/@+~-", c) >= 0
}

// imageBefore ends where the value of a field or flag that names an image begins.
var imageBefore = lazy.Regexp(`(?i)image["']?\s*[:=]\s*["']?$|(?:^|[\s"'])-[-\w]*image[ =]["']?$`)

// words edits the references in a text that are words of their own; key is what
// the text stands under.
func (r *rewriter) words(text, key string) []edit {
	edits := r.assignments(text)
	for i := 0; i < len(text); {
		if !isWordByte(text[i]) {
			i++
			continue
		}
		start := i
		for i < len(text) && isWordByte(text[i]) {
			i++
		}
		word := text[start:i]
		for _, scheme := range written.Schemes {
			if rest, ok := strings.CutPrefix(word, scheme); ok {
				start, word = start+len(scheme), rest
				break
			}
		}
		word = strings.TrimRight(word, ".:/@+~-_")
		target, ok := r.m[word]
		if !ok || i < len(text) && text[i] == '*' || within(edits, start) {
			continue
		}
		if !strings.ContainsAny(word, "/:@") && !namedImage(text, key, start, word) {
			continue
		}
		edits = append(edits, edit{start, start + len(word), target, []string{word}})
	}
	return edits
}

// namedImage tells whether an ordinary word stands where an image is named.
func namedImage(text, key string, at int, word string) bool {
	if strings.TrimSpace(text) == word {
		return written.NamesImage(key)
	}
	line := strings.LastIndexByte(text[:at], '\n') + 1
	return imageBefore().MatchString(text[line:at])
}

func within(edits []edit, at int) bool {
	for _, e := range edits {
		if at >= e.from && at < e.to {
			return true
		}
	}
	return false
}

// assignment matches a line of a properties, INI or shell file.
var assignment = lazy.Regexp(`(?m)^[ \t]*(?:export )?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*[=:][ \t]*["']?([^\s"']+)["']?[ \t]*\r?$`)

// assignments edits references that are spread over lines of a text.
func (r *rewriter) assignments(text string) []edit {
	if !strings.Contains(text, "\n") {
		return nil
	}
	var fields []field
	for _, m := range assignment().FindAllStringSubmatchIndex(text, -1) {
		value := text[m[4]:m[5]]
		fields = append(fields, field{key: text[m[2]:m[3]], node: &node{value: value, str: true, src: identity(m[4], len(value))}})
	}
	w := &walker{r: r, wants: make(map[*node][]edit)}
	w.spread(fields, "")
	var all []edit
	for n, edits := range w.wants {
		if in, ok := n.in(edits); ok {
			all = append(all, in...)
		}
	}
	return all
}

// identity is the source of a piece of text that stands as it is.
func identity(at, size int) *source {
	s := &source{style: block, empty: at}
	for i := range size {
		s.from, s.to = append(s.from, int32(at+i)), append(s.to, int32(at+i+1))
	}
	return s
}
