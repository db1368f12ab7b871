package checksum

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

const (
	// MaxSize is the largest manifest that [Walk] reads, in bytes: room for
	// more than 200 000 blobs.
	MaxSize = 32 << 20

	// MaxName is the length of the longest file name in a manifest, in bytes.
	MaxName = 255

	hexLen    = 2 * sha256.Size
	separator = "  " // sha256sum: text mode, as GNU coreutils writes it
)

// A Sum is one line of a manifest: a file and the SHA-256 of its content.
type Sum struct {
	Name   string // slash-separated, relative, printable ASCII without backslash
	Digest [sha256.Size]byte
}

// Hex returns the digest as 64 lower-case hexadecimal digits.
func (s Sum) Hex() string { return hex.EncodeToString(s.Digest[:]) }

// Sums is a manifest.
type Sums []Sum

// A FormatError is a manifest that is not in canonical form.
type FormatError struct {
	Line int // counted from 1; 0 when no line is to blame
	What string
}

func (e *FormatError) Error() string {
	if e.Line == 0 {
		return "checksum manifest: " + e.What
	}
	return fmt.Sprintf("checksum manifest line %d: %s", e.Line, e.What)
}

// Format returns the manifest in canonical form: one line for each sum,
// sorted bytewise by name. The order of s is left alone. Names must be valid
// and distinct, which [Sums.Validate] tells; Walk refuses what comes of
// others.
func (s Sums) Format() []byte {
	size := 0
	for _, sum := range s {
		size += lineSize(sum)
	}
	var b bytes.Buffer
	b.Grow(size)
	for _, sum := range s.sorted() {
		b.WriteString(sum.Hex())
		b.WriteString(separator)
		b.WriteString(sum.Name)
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// Validate returns an error unless Walk over s.Format() would visit the sums of
// s: at least one, every name allowed, no name twice, within [MaxSize].
func (s Sums) Validate() error {
	if len(s) == 0 {
		return &FormatError{What: "no files"}
	}
	size, last := 0, ""
	for _, sum := range s.sorted() {
		if what := checkName(sum.Name); what != "" {
			return &FormatError{What: what}
		}
		if sum.Name == last {
			return &FormatError{What: fmt.Sprintf("%q occurs twice", last)}
		}
		last = sum.Name
		size += lineSize(sum)
	}
	if size > MaxSize {
		return tooLarge(size)
	}
	return nil
}

// lineSize is how long the line of a sum is.
func lineSize(s Sum) int { return hexLen + len(separator) + len(s.Name) + 1 }

func (s Sums) sorted() Sums {
	s = slices.Clone(s)
	slices.SortFunc(s, func(a, b Sum) int { return strings.Compare(a.Name, b.Name) })
	return s
}

// Walk reads a manifest in canonical form, and nothing else: for what it takes,
// Format of the visited sums gives the same bytes. It calls visit for each line in
// turn, and ends with the first error of it. Lines before one that is not
// canonical have been visited when its [*FormatError] is returned.
func Walk(b []byte, visit func(Sum) error) error {
	switch {
	case len(b) > MaxSize:
		return tooLarge(len(b))
	case len(b) == 0:
		return &FormatError{What: "empty"}
	}
	last := ""
	for n := 1; len(b) > 0; n++ {
		line, rest, ended := bytes.Cut(b, []byte{'\n'})
		if !ended {
			return &FormatError{n, "no newline at the end"}
		}
		sum, what := parseLine(line)
		switch {
		case what != "":
		case sum.Name == last:
			what = fmt.Sprintf("%q occurs twice", last)
		case sum.Name < last:
			what = fmt.Sprintf("not sorted: %q after %q", sum.Name, last)
		}
		if what != "" {
			return &FormatError{n, what}
		}
		if err := visit(sum); err != nil {
			return err
		}
		b, last = rest, sum.Name
	}
	return nil
}

// parseLine reads one line without its newline, or says what is wrong.
func parseLine(line []byte) (sum Sum, what string) {
	if len(line) <= hexLen+len(separator) || string(line[hexLen:hexLen+len(separator)]) != separator {
		return Sum{}, "not 64 hexadecimal digits, two spaces and a name"
	}
	digits := line[:hexLen]
	if bytes.ContainsAny(digits, "ABCDEF") {
		return Sum{}, "upper-case digits in the digest"
	}
	if _, err := hex.Decode(sum.Digest[:], digits); err != nil {
		return Sum{}, "not 64 hexadecimal digits, two spaces and a name"
	}
	sum.Name = string(line[hexLen+len(separator):])
	return sum, checkName(sum.Name)
}

// checkName says what is wrong with a name, or nothing. sha256sum quotes
// backslash and newline in a notation of its own, and reads standard input
// for a lone dash, so none of these may occur. A checker opens names relative
// to its folder, so none may lead out of it.
func checkName(name string) (what string) {
	if len(name) > MaxName {
		return fmt.Sprintf("name of %d bytes, at most %d allowed", len(name), MaxName)
	}
	for i := range len(name) {
		if c := name[i]; c < ' ' || c > '~' || c == '\\' {
			return fmt.Sprintf("byte 0x%02x in name %q", c, name)
		}
	}
	if !fs.ValidPath(name) || name == "." || name == "-" {
		return fmt.Sprintf("name %q is not a plain relative path", name)
	}
	return ""
}

func tooLarge(size int) error {
	return &FormatError{What: fmt.Sprintf("%d bytes, at most %d allowed", size, MaxSize)}
}
