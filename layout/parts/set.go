package parts

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/opencontainers/go-digest"

	"bundle/layout"
	"bundle/layout/strict"
)

// What follows the name of a bundle in the names of the files beside its parts.
const (
	HeadSuffix   = ".head"
	SetSuffix    = ".set.json"
	ListSuffix   = ".sha256"
	BlocksSuffix = ".blocks"
)

const (
	// SetVersion is the version of set.json.
	SetVersion = 1
	// MaxParts is how many parts a set can have: their names end in three digits.
	MaxParts = 999
	// MaxSetSize bounds set.json, in bytes.
	MaxSetSize = 24 << 20
	// MaxHead bounds what is read of a bundle to find out which it is, in bytes.
	MaxHead = 1 << 30
	// maxName leaves room for the suffixes within the 255 bytes of a file name.
	maxName = 200
)

// A Set says how a bundle was cut.
type Set struct {
	Version int     `json:"formatVersion"`
	ID      string  `json:"id"`      // SHA-256 of the bundle's SHA256SUMS, 64 hex digits
	Name    string  `json:"name"`    // of the bundle: a file name, no path
	Size    int64   `json:"size"`    // of the bundle, in bytes
	Created int64   `json:"created"` // mtime of the entries, in seconds since 1970
	Head    int64   `json:"head"`    // bytes before the first layer: those that every medium has
	Parts   []Part  `json:"parts"`   // in order, without gaps
	Parity  *Parity `json:"parity,omitempty"`

	entries []layout.Entry // behind the head, in order
}

// A Part is a slice of the bundle.
type Part struct {
	Name   string   `json:"name"`            // of the file: that of the bundle and .001, .002 …; alone, that of the bundle
	Offset int64    `json:"offset"`          // in the bundle, in bytes
	Size   int64    `json:"size"`            // in bytes
	Blobs  []string `json:"blobs,omitempty"` // entries behind the head that begin in it, in order: 64 hex digits, a space, the size
}

// Parity says how a set is protected. Its columns are the parts, or, of a file in
// one part, as many slices of Blocks blocks.
type Parity struct {
	Data   int   `json:"data"`   // columns of data
	Parity int   `json:"parity"` // columns of parity: how many columns may be lost
	Blocks int64 `json:"blocks"` // in a column, each of 1 MiB
}

var setRules = strict.Rules{
	Bytes: MaxSetSize, Depth: 4, Values: layout.MaxEntries + 20*MaxParts, Closed: true,
	Names: []string{"formatVersion", "id", "name", "size", "created", "head", "parts", "parity", "offset", "blobs", "data", "blocks"},
}

// A SetError is a set.json that cannot be right.
type SetError struct{ Err error }

// Error says what is wrong.
func (e *SetError) Error() string { return "set.json: " + e.Err.Error() }

// Unwrap returns what is wrong.
func (e *SetError) Unwrap() error { return e.Err }

// Damaged says that the file is to blame.
func (e *SetError) Damaged() bool { return true }

// ParseSet reads set.json. What it takes describes one bundle without gaps; what
// contradicts itself is a [*SetError].
func ParseSet(data []byte) (*Set, error) {
	s := new(Set)
	err := setRules.Decode(data, s)
	if err == nil {
		err = s.check()
	}
	if err != nil {
		return nil, &SetError{err}
	}
	return s, nil
}

// Encode is the inverse of [ParseSet].
func (s *Set) Encode() ([]byte, error) {
	b, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return nil, err
	}
	if _, err := ParseSet(b); err != nil {
		return nil, err // what a reader would refuse is not written
	}
	return append(b, '\n'), nil
}

// Whole reports whether the bundle is one file: then the set is there for its
// parity.
func (s *Set) Whole() bool { return len(s.Parts) == 1 }

// Time is when the bundle was made.
func (s *Set) Time() time.Time { return time.Unix(s.Created, 0).UTC() }

func (s *Set) check() error {
	switch id, err := hex.DecodeString(s.ID); {
	case s.Version != SetVersion:
		return fmt.Errorf("format version %d, this program reads %d", s.Version, SetVersion)
	case err != nil || len(id) != 32 || s.ID != strings.ToLower(s.ID):
		return fmt.Errorf("id %q is not a SHA-256", s.ID)
	case s.Size < layout.TrailerSize || s.Size > math.MaxInt64/2:
		return fmt.Errorf("size %d", s.Size)
	case s.Created < 0 || s.Created > 1<<33-1:
		return fmt.Errorf("created %d", s.Created)
	case s.Head < layout.BlockSize || s.Head > min(s.Size-layout.TrailerSize, MaxHead) || s.Head%layout.BlockSize != 0:
		return fmt.Errorf("head of %d bytes in a bundle of %d", s.Head, s.Size)
	case len(s.Parts) == 0 || len(s.Parts) > MaxParts:
		return fmt.Errorf("%d parts, want 1 to %d", len(s.Parts), MaxParts)
	}
	if err := CheckName(s.Name); err != nil {
		return err
	}
	if err := s.checkParts(); err != nil {
		return err
	}
	return s.checkParity()
}

// CheckName refuses names that lead somewhere else, or deceive.
func CheckName(name string) error {
	bad := func(r rune) bool { return r == '/' || r == '\\' || r == ':' || !unicode.IsPrint(r) }
	if name == "" || len(name) > maxName || strings.HasPrefix(name, ".") || strings.ContainsFunc(name, bad) {
		return fmt.Errorf("name %q is not one for the file of a bundle", name)
	}
	return nil
}

// checkParts requires that parts and entries follow each other without gaps, and
// both end where the bundle does.
func (s *Set) checkParts() error {
	at, next := int64(0), s.Head
	for i, p := range s.Parts {
		if want := s.PartName(i + 1); p.Name != want {
			return fmt.Errorf("part %d is called %q, not %q", i+1, p.Name, want)
		}
		if p.Offset != at || p.Size <= 0 || p.Size > s.Size-at {
			return fmt.Errorf("part %d: %d bytes at %d, after %d of %d bytes", i+1, p.Size, p.Offset, at, s.Size)
		}
		at += p.Size
		for _, line := range p.Blobs {
			e, err := parseBlob(line)
			if err != nil {
				return fmt.Errorf("part %d: %w", i+1, err)
			}
			if next >= at || next < p.Offset || e.Size > s.Size-next-layout.BlockSize {
				return fmt.Errorf("part %d: %s does not lie there", i+1, e.Name)
			}
			e.Offset = next + layout.BlockSize
			next += layout.Footprint(e.Size)
			s.entries = append(s.entries, e)
		}
	}
	switch {
	case at != s.Size:
		return fmt.Errorf("the parts have %d bytes, the bundle %d", at, s.Size)
	case next != s.Size-layout.TrailerSize:
		return fmt.Errorf("the entries end at %d, the bundle at %d", next, s.Size)
	case len(s.entries) > layout.MaxEntries:
		return fmt.Errorf("more than %d entries", layout.MaxEntries)
	case s.Head > s.Parts[0].Size:
		return fmt.Errorf("the head of %d bytes does not lie in part 1", s.Head)
	}
	return nil
}

func parseBlob(line string) (e layout.Entry, err error) {
	hash, number, _ := strings.Cut(line, " ")
	e.Name = layout.BlobName(digest.NewDigestFromEncoded(digest.SHA256, hash))
	_, ok := layout.BlobDigest(e.Name)
	if e.Size, err = strconv.ParseInt(number, 10, 64); !ok || err != nil || e.Size < 0 || strconv.FormatInt(e.Size, 10) != number {
		return e, fmt.Errorf("%q is not a digest and a size", line)
	}
	return e, nil
}

func formatBlob(e layout.Entry) string {
	d, _ := layout.BlobDigest(e.Name)
	return d.Encoded() + " " + strconv.FormatInt(e.Size, 10)
}

// PartName is the name of the part number k, counted from 1.
func (s *Set) PartName(k int) string {
	if s.Whole() {
		return s.Name
	}
	return fmt.Sprintf("%s.%03d", s.Name, k)
}

// ParityName is the name of the parity part number k, counted from 1.
func (s *Set) ParityName(k int) string { return fmt.Sprintf("%s.p%02d", s.Name, k) }

// Inside reports whether part k begins inside a blob.
func (s *Set) Inside(k int) bool {
	at := s.Parts[k-1].Offset
	i, _ := slices.BinarySearchFunc(s.entries, at+1, func(e layout.Entry, at int64) int { return compare(e.Offset+e.Size, at) })
	return at >= s.Head && i < len(s.entries) && s.entries[i].Offset <= at
}
