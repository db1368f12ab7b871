package chart

import (
	"cmp"
	"strconv"
	"strings"

	"bundle/bundle/internal/written"
)

// A Position is where something stands in what a chart renders to. Positions of
// outputs that are like one another (see [Output.Like]) mean the same place when
// they are equal; they are made for maps.
type Position struct {
	Document
	Path   Path
	Word   int  // counts the words of the scalar from 1; 0 is all of it
	Spread bool // a reference over several keys: Path leads to the one that holds the repository
}

// A Document is the identity of one rendered document.
type Document struct {
	Template string // chart/templates/x.yaml
	Kind     string // empty for what is no manifest
	Name     string // metadata.name; empty for an object without one, or with one that is random
	// Ordinal tells documents of one template, kind and name apart, and where
	// there is no name those of one template and kind. It counts from 0.
	Ordinal int
	When    When // the occasion on which alone the document is there
}

// String is for people: template#Kind/name:path~word.
func (p Position) String() string {
	s := p.Document.String()
	if p.Path != (Path{}) {
		s += ":" + p.Path.String()
	}
	if p.Word > 0 {
		s += "~" + strconv.Itoa(p.Word)
	}
	if p.Spread {
		s += "~ref"
	}
	return s
}

// Compare orders positions by document, path and word.
func (p Position) Compare(q Position) int {
	return cmp.Or(
		cmp.Compare(p.When, q.When), cmp.Compare(p.Template, q.Template), cmp.Compare(p.Kind, q.Kind), cmp.Compare(p.Name, q.Name),
		cmp.Compare(p.Ordinal, q.Ordinal), cmp.Compare(p.Path.enc, q.Path.enc), cmp.Compare(p.Word, q.Word),
		compareBool(p.Spread, q.Spread),
	)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// Scalar is the position of the whole scalar that p stands in.
func (p Position) Scalar() Position { return Position{Document: p.Document, Path: p.Path} }

// At is the position that a path leads to in the document.
func (d Document) At(path Path) Position { return Position{Document: d, Path: path} }

// String is for people: template#Kind/name, or template#Kind/ordinal.
func (d Document) String() string {
	s := d.Template + "#" + d.Kind + "/"
	switch {
	case d.Name == "":
		return s + strconv.Itoa(d.Ordinal)
	case plainName(d.Name):
		s += d.Name
	default:
		s += strconv.Quote(d.Name)
	}
	if d.Ordinal > 0 {
		s += "/" + strconv.Itoa(d.Ordinal)
	}
	if d.When != Always {
		s += "@" + string(d.When)
	}
	return s
}

// plainName tells whether a name reads well without quotes, and not as a number.
func plainName(s string) bool { return isWord(strings.ReplaceAll(s, ".", "-")) && !written.IsNumber(s) }

// A Path leads from a document to something in it. The zero value is the
// document itself. Paths are made for maps: equal ones take the same steps.
//
// The elements of a list are addressed by what names them where something does
// (the name of a container, an env entry, a volume, a port), so that one more
// element leaves the paths of the others alone; otherwise by their index.
type Path struct {
	// enc holds the steps, each as one byte for its kind, its text, and a zero
	// byte. It may not be read by anything else than Steps.
	enc string
}

// A StepKind says how a Step goes on.
type StepKind byte

const (
	KeyStep   StepKind = '.' // to the value of a key
	IndexStep StepKind = '#' // to an element of a list, by its index
	ItemStep  StepKind = '=' // to an element of a list, by its name
	IntoStep  StepKind = '|' // into a document inside a string
)

// A Step leads from a value to one in it.
type Step struct {
	Kind StepKind
	Text string // the key, the name, or the form of the string: yaml, json or base64
	N    int    // the index, or the number of the document in the string
}

var (
	escapeZero   = strings.NewReplacer("\x00", "\x01a", "\x01", "\x01b")
	unescapeZero = strings.NewReplacer("\x01a", "\x00", "\x01b", "\x01")
)

func (p Path) step(kind StepKind, text string) Path {
	if strings.ContainsAny(text, "\x00\x01") {
		text = escapeZero.Replace(text)
	}
	return Path{p.enc + string(rune(kind)) + text + "\x00"}
}

// Key is the path to the value of a key of what p leads to.
func (p Path) Key(key string) Path { return p.step(KeyStep, key) }

// Index is the path to an element of a list by its index.
func (p Path) Index(i int) Path { return p.step(IndexStep, strconv.Itoa(i)) }

// Item is the path to an element of a list by its name.
func (p Path) Item(name string) Path { return p.step(ItemStep, name) }

// Into is the path to document i inside a string.
func (p Path) Into(form string, i int) Path {
	if i > 0 {
		form += "/" + strconv.Itoa(i)
	}
	return p.step(IntoStep, form)
}

// Steps takes the path apart.
func (p Path) Steps() []Step {
	var list []Step
	for rest := p.enc; rest != ""; {
		one, after, _ := strings.Cut(rest, "\x00")
		s := Step{Kind: StepKind(one[0]), Text: unescapeZero.Replace(one[1:])}
		switch s.Kind {
		case IndexStep:
			s.N, _ = strconv.Atoi(s.Text)
			s.Text = ""
		case IntoStep:
			form, n, _ := strings.Cut(s.Text, "/")
			s.N, _ = strconv.Atoi(n)
			s.Text = form
		}
		list, rest = append(list, s), after
	}
	return list
}

// Parent is the path less its last step; that of the document is itself.
func (p Path) Parent() Path {
	if p.enc == "" {
		return p
	}
	return Path{p.enc[:strings.LastIndexByte(p.enc[:len(p.enc)-1], 0)+1]}
}

// Last is the last step; the zero Step for the document itself.
func (p Path) Last() Step {
	parent := p.Parent()
	if steps := (Path{p.enc[len(parent.enc):]}).Steps(); len(steps) > 0 {
		return steps[0]
	}
	return Step{}
}

// Within tells whether p is q or leads to something in it.
func (p Path) Within(q Path) bool { return strings.HasPrefix(p.enc, q.enc) }

// Embedded tells whether the path leads into a string.
func (p Path) Embedded() bool {
	for _, s := range p.Steps() {
		if s.Kind == IntoStep {
			return true
		}
	}
	return false
}

// String is for people: spec.containers[app].env[X_IMAGE].value, or
// data["values.yaml"]|yaml.images[0].
func (p Path) String() string {
	var b strings.Builder
	for _, s := range p.Steps() {
		switch s.Kind {
		case KeyStep:
			if !isWord(s.Text) {
				b.WriteString("[" + strconv.Quote(s.Text) + "]")
				continue
			}
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(s.Text)
		case IndexStep:
			b.WriteString("[" + strconv.Itoa(s.N) + "]")
		case ItemStep:
			if plainName(s.Text) {
				b.WriteString("[" + s.Text + "]")
			} else {
				b.WriteString("[" + strconv.Quote(s.Text) + "]")
			}
		case IntoStep:
			b.WriteString("|" + s.Text)
			if s.N > 0 {
				b.WriteString("/" + strconv.Itoa(s.N))
			}
		}
	}
	return b.String()
}

// isWord tells whether s consists of letters, digits, _ and - alone.
func isWord(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return s != ""
}
