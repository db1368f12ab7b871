package written

import (
	"strings"

	"bundle/bundle/internal/lazy"
)

// blankRE matches, at the beginning of a text, what a program fills in at run time.
var blankRE = lazy.Regexp(`^(?:%\([A-Za-z_][\w.-]*\)[sd]|%[svdq]|\$\([\w.-]+\)|\$\{[^{}\s]+\}|\$[A-Za-z_]\w*|\{\{[^{}\n]*\}\}|\{[A-Za-z_][\w.-]*\}|<[A-Za-z_][\w.-]*>)`)

// LeadingBlank returns the blank that a text begins with, or nothing.
func LeadingBlank(s string) string { return blankRE().FindString(s) }

// BlankAt returns the length of the blank at i in a text, behind a word that began
// at start: only in a path, and where it is set off from what stands before it, so
// that "a/b:1{{ end }}" ends where it should.
func BlankAt(s string, start, i int) int {
	if i == start || strings.IndexByte("%${<", s[i]) < 0 || strings.IndexByte("/:@-_.", s[i-1]) < 0 && s[i-1] != '}' && s[i-1] != ')' || !strings.Contains(s[start:i], "/") {
		return 0
	}
	return len(LeadingBlank(s[i:min(len(s), i+maxRef)]))
}

// A Word is a run of characters that a reference may consist of, and of blanks that
// a program fills in.
type Word struct {
	Text       string
	Start, End int // in the text, in bytes
}

func isWordByte(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	switch c {
	case '.', '_', ':', '/', '@', '+', '~', '-':
		return true
	}
	return false
}

// Words splits a text. Only separators decide where a word begins, never
// what it means, so a word keeps its number when a reference in the scalar is
// replaced by another one.
func Words(s string) []Word {
	var list []Word
	for i := 0; i < len(s); {
		if !isWordByte(s[i]) {
			i++
			continue
		}
		start, letters := i, false
		for i < len(s) {
			if n := BlankAt(s, start, i); n > 0 {
				i += n
				continue
			}
			c := s[i]
			if !isWordByte(c) {
				break
			}
			i++
			letters = letters || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		}
		if letters {
			list = append(list, Word{s[start:i], start, i})
		}
	}
	return list
}

// Reference is the word without a scheme and without what punctuation of the
// surrounding text sticks to its end.
func (w Word) Reference() string {
	s, ok := CutScheme(w.Text)
	if !ok {
		return ""
	}
	return strings.TrimRight(s, ".:/@+~-_")
}
