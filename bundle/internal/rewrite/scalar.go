package rewrite

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"bundle/bundle/internal/lazy"
)

// A style is how a scalar is written.
type style uint8

const (
	plain  style = iota
	single       // 'it''s'
	double       // "a\tb", also JSON's
	block        // | and >
)

// A source says for each byte of a scalar where it stands in the document.
type source struct {
	style style
	empty int     // where the text of an empty scalar would stand
	from  []int32 // of each byte of the scalar; blanks stand nowhere for certain
	to    []int32
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// align finds out where each byte of a scalar stands: its value and its source
// have the same characters in the same order, but for blanks and escapes. It is
// nil when they have not.
func align(text string, at int, value string, st style) *source {
	if st == single || st == double {
		at++ // the quote
	}
	if st == block {
		i := strings.IndexAny(text[at:], "\r\n")
		if i < 0 {
			i = len(text) - at
		}
		at += i
	}
	s := &source{style: st, empty: at, from: make([]int32, len(value)), to: make([]int32, len(value))}
	for j := 0; j < len(value); {
		if isBlank(value[j]) {
			s.from[j], s.to[j] = int32(at), int32(at)
			j++
			continue
		}
		for at < len(text) && isBlank(text[at]) {
			at++
		}
		if at >= len(text) {
			return nil
		}
		decoded, n := text[at:at+1], 1
		if st == double && text[at] == '\\' || st == single && text[at] == '\'' {
			if decoded, n = unescape(text[at:], st); n == 0 {
				return nil
			}
		}
		if decoded == "" || len(decoded) == 1 && isBlank(decoded[0]) {
			at += n
			continue
		}
		if !strings.HasPrefix(value[j:], decoded) {
			return nil
		}
		for range len(decoded) {
			s.from[j], s.to[j] = int32(at), int32(at+n)
			j++
		}
		at += n
	}
	return s
}

// escapes are those of one character (YAML 1.2, 5.7; JSON's are among them).
var escapes = map[byte]string{
	'0': "\x00", 'a': "\a", 'b': "\b", 't': "\t", '\t': "\t", 'n': "\n", 'v': "\v", 'f': "\f", 'r': "\r", 'e': "\x1b",
	' ': " ", '"': "\"", '/': "/", '\\': "\\", 'N': "\u0085", '_': "\u00a0", 'L': "\u2028", 'P': "\u2029", '\n': "", '\r': "",
}

// unescape reads the escape that s begins with; n is 0 for none.
func unescape(s string, st style) (decoded string, n int) {
	if st == single {
		if strings.HasPrefix(s, "''") {
			return "'", 2
		}
		return "", 0
	}
	if len(s) < 2 {
		return "", 0
	}
	if d, ok := escapes[s[1]]; ok {
		return d, 2
	}
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[s[1]]
	r, ok := hex(s, 2, digits)
	if !ok {
		return "", 0
	}
	n = 2 + digits
	if utf16.IsSurrogate(r) {
		if low, ok := hex(s, n+2, 4); ok && strings.HasPrefix(s[n:], `\u`) {
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				return string(pair), n + 6
			}
		}
		return string(utf8.RuneError), n
	}
	return string(r), n
}

func hex(s string, at, digits int) (rune, bool) {
	if digits == 0 || at+digits > len(s) {
		return 0, false
	}
	v, err := strconv.ParseUint(s[at:at+digits], 16, 32)
	return rune(v), err == nil
}

// in translates edits of a scalar into edits of its document; false where one
// cannot be written there.
func (n *node) in(edits []edit) ([]edit, bool) {
	if len(edits) == 0 {
		return nil, true
	}
	if n.src == nil {
		return nil, false
	}
	if n.kind == aliasKind {
		e := edits[0] // the whole, always
		text, ok := plain.encode(e.text)
		if !ok || !staysString(e.text) {
			text, ok = double.quoted(e.text)
		}
		return []edit{{int(n.src.from[0]), int(n.src.to[0]), text, e.raws}}, ok
	}
	var out []edit
	for _, e := range edits {
		text, ok := n.src.style.encode(e.text)
		if n.src.style == plain && (!ok || !staysString(apply(n.value, edits))) {
			// Only as a whole can it get quotes.
			if e.from != 0 || e.to != len(n.value) {
				return nil, false
			}
			text, ok = double.quoted(e.text)
		}
		if !ok {
			return nil, false
		}
		from, to := n.src.empty, n.src.empty
		if e.to > e.from {
			from, to = int(n.src.from[e.from]), int(n.src.to[e.to-1])
		} else if n.src.style == plain || n.src.style == block || n.value != "" {
			return nil, false
		}
		out = append(out, edit{from, to, text, e.raws})
	}
	return out, true
}

// plainText is what a plain scalar may hold anywhere, also in brackets.
var plainText = lazy.Regexp(`^[-A-Za-z0-9._/:@+=~]*$`)

// encode writes a text as it stands inside a scalar of a style; false where it
// cannot.
func (st style) encode(s string) (string, bool) {
	switch st {
	case single:
		return strings.ReplaceAll(s, "'", "''"), !strings.ContainsAny(s, "\r\n")
	case double:
		return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s), !strings.ContainsAny(s, "\r\n")
	case block:
		return s, !strings.ContainsAny(s, "\r\n")
	}
	return s, plainText().MatchString(s)
}

// quoted is a whole scalar of a style with quotes.
func (st style) quoted(s string) (string, bool) {
	text, ok := st.encode(s)
	return `"` + text + `"`, ok
}

// staysString tells whether a plain scalar of this text is a string.
func staysString(s string) bool {
	if strings.ContainsAny(s, " \n") {
		return true // no number or word has blanks
	}
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(s), &n); err != nil || len(n.Content) != 1 {
		return false
	}
	c := n.Content[0]
	return c.Kind == yaml.ScalarNode && c.ShortTag() == "!!str" && c.Value == s
}
