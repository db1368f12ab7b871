package inventory

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"bundle/bundle/internal/name"
	"bundle/bundle/internal/record"
	"bundle/layout/strict"
)

// A VersionError is a document of a later program.
type VersionError struct{ Version int }

func (e *VersionError) Error() string {
	return fmt.Sprintf("inventory of version %d: this program reads version %d", e.Version, version)
}

// rules are those of documents. Later programs may add keys that this one can do
// without; what it cannot do without gets a new version.
var rules = strict.Rules{Bytes: maxSize, Depth: 8, Values: 8_000_000, AnyCase: true}

// versionKey is the one that tells an inventory from other JSON.
const versionKey = `"inventoryVersion"`

// Is says whether a file that begins with these bytes is meant to be an inventory.
func Is(begin []byte) bool {
	begin = bytes.TrimLeft(begin, " \t\r\n")
	rest, ok := bytes.CutPrefix(begin, []byte("{"))
	return ok && bytes.HasPrefix(bytes.TrimLeft(rest, " \t\r\n"), []byte(versionKey))
}

// The documents, as they are.
type (
	document struct {
		Version  int       `json:"inventoryVersion"`
		Tool     string    `json:"tool"`
		Created  time.Time `json:"created"`
		Registry string    `json:"registry"`
		Blobs    []blob    `json:"blobs"`
	}
	blob struct {
		Digest       digest.Digest `json:"digest"`
		Size         int64         `json:"size"`
		Repositories []string      `json:"repositories,omitempty"`
	}
)

// parse reads a document.
func parse(doc []byte) (*Inventory, error) {
	var d document
	if err := rules.Decode(doc, &d); err != nil {
		return nil, err
	}
	if d.Version < 1 {
		return nil, errors.New("this is no inventory")
	}
	if d.Version != version {
		return nil, &VersionError{d.Version}
	}
	inv := &Inventory{
		ID:       digest.FromBytes(doc).Encoded()[:16],
		Tool:     record.Printable(d.Tool),
		Created:  d.Created.UTC(),
		Registry: d.Registry,
		Blobs:    make([]Blob, len(d.Blobs)),
	}
	for i, b := range d.Blobs {
		inv.Blobs[i] = Blob(b)
	}
	if err := inv.check(); err != nil {
		return nil, err
	}
	return inv, nil
}

// check requires what others rely on.
func (inv *Inventory) check() error {
	if len(inv.Tool) > maxText {
		return errors.New("the name of its program is too long")
	}
	if inv.Created.IsZero() || inv.Created.Year() > 9999 {
		return errors.New("it does not say when it was made")
	}
	if inv.Registry != "" && !isName(inv.Registry+"/x") {
		return fmt.Errorf("registry %q is no name of one", record.Printable(inv.Registry))
	}
	if len(inv.Blobs) > MaxBlobs {
		return fmt.Errorf("%d blobs are more than the %d allowed", len(inv.Blobs), MaxBlobs)
	}
	known := make(map[string]bool) // repositories that were looked at
	for i, b := range inv.Blobs {
		if err := b.check(inv.Registry, known); err != nil {
			return fmt.Errorf("blob %q: %w", record.Printable(string(b.Digest)), err)
		}
		if i > 0 && inv.Blobs[i-1].Digest >= b.Digest {
			return fmt.Errorf("blob %q is there twice, or in the wrong order", b.Digest)
		}
	}
	return nil
}

func (b Blob) check(registry string, known map[string]bool) error {
	switch {
	case b.Digest.Validate() != nil:
		return errors.New("this is no digest")
	case b.Size < 0 || b.Size > maxBlobSize:
		return fmt.Errorf("size %d is none", b.Size)
	case len(b.Repositories) > MaxRepositories:
		return fmt.Errorf("%d repositories are more than the %d allowed", len(b.Repositories), MaxRepositories)
	case len(b.Repositories) > 0 && registry == "":
		return errors.New("it has a repository, and the inventory no registry")
	}
	for _, repo := range b.Repositories {
		if !known[repo] && !isName("registry.invalid/"+repo) {
			return fmt.Errorf("repository %q is no name of one", record.Printable(repo))
		}
		known[repo] = true
	}
	return nil
}

// isName says whether s is a repository in full, as references have it.
func isName(s string) bool {
	ref, err := name.Canonical(s)
	return len(s) <= 2*maxText && err == nil && ref.Repository() == s && len(ref.Path) <= maxText
}

// encode writes the document: one line for each blob, so that people and programs
// that compare lines can read it. It sets the ID.
func (inv *Inventory) encode() ([]byte, error) {
	slices.SortFunc(inv.Blobs, func(a, b Blob) int { return cmp.Compare(a.Digest, b.Digest) })
	inv.Created = inv.Created.UTC().Truncate(time.Second)
	if err := inv.check(); err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	head := []struct {
		key   string
		value any
	}{{"tool", inv.Tool}, {"created", inv.Created}, {"registry", inv.Registry}}
	var doc bytes.Buffer
	fmt.Fprintf(&doc, "{\n  %s: %d", versionKey, version)
	for _, h := range head {
		if h.value == "" {
			continue
		}
		b, err := json.Marshal(h.value)
		if err != nil {
			return nil, fmt.Errorf("inventory: %w", err)
		}
		fmt.Fprintf(&doc, ",\n  %q: %s", h.key, b)
	}
	doc.WriteString(",\n  \"blobs\": [")
	for i, b := range inv.Blobs {
		line, err := json.Marshal(blob(b))
		if err != nil {
			return nil, fmt.Errorf("inventory: %w", err)
		}
		if i > 0 {
			doc.WriteByte(',')
		}
		doc.WriteString("\n    ")
		doc.Write(line)
	}
	doc.WriteString("\n  ]\n}\n")
	if doc.Len() > maxSize {
		return nil, fmt.Errorf("inventory: %d bytes are more than the %d that readers take", doc.Len(), maxSize)
	}
	inv.ID = digest.FromBytes(doc.Bytes()).Encoded()[:16]
	return doc.Bytes(), nil
}
