// Package history keeps the story of a target registry in that registry: what
// each import put there, whose it was, and what stood there before (SPEC.md).
//
// The contract: the registry is its own memory, so there is no database and no
// state on the machine that imports. A document is written after all else of an
// import, once, and never changed. Documents are read within limits and believed
// no more than the registry is; what one says is there may be gone since.
//
//	store := history.Store{Client: client, Registry: registry}
//	past, err := store.Read(ctx)
//	undone := past.Undone(bundle, replaced) // names that a newer bundle put there
//	…
//	err = store.Add(ctx, past, imported)
package history

import (
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/trust"
)

// version is the version of the documents that this package writes, and the
// newest it reads.
const version = 1

const (
	// artifactType is the artifact type of a document, and the media type of its one layer.
	artifactType = "application/vnd.bundle.import.v1+json"
	// Repository is where documents lie, below the prefix of the target.
	Repository = "bundle-records"
	// maxSize bounds a document, in bytes: some 100,000 blobs.
	maxSize = 16 << 20
	// MaxImports bounds how many documents are read: the newest.
	MaxImports = 1000
)

// maxBytes bounds what all documents that are read have together, in bytes. A variable
// for the tests.
var maxBytes int64 = 64 << 20

// An Import is one document: what one import did. Names and repositories stand
// below the prefix of the target: in the registry, as in a copy of it elsewhere.
type Import struct {
	Version  int       `json:"importVersion"`
	Tool     string    `json:"tool"`     // name and version of the program that imported
	Finished time.Time `json:"finished"` // whole seconds, UTC, by the clock of the machine that imported
	Bundle   Bundle    `json:"bundle"`
	trust.Vouched
	Names        []Name    `json:"names"`
	Repositories []Content `json:"repositories"`
}

// A Bundle says which bundle was imported.
type Bundle struct {
	ID      string        `json:"id"`
	Created time.Time     `json:"created"`
	Serial  int64         `json:"serial,omitempty"` // given at export, decides before the time does; 0: none
	Sums    digest.Digest `json:"sums"`             // of SHA256SUMS, and so of everything in it
}

// olderThan says which of two bundles goes before: by their serials if both have
// one, else by the time of their making. Equal is not older.
func (b Bundle) olderThan(o Bundle) bool {
	if b.Serial > 0 && o.Serial > 0 {
		return b.Serial < o.Serial
	}
	return b.Created.Before(o.Created)
}

// A Name is what an import put under a name.
type Name struct {
	Name     string        `json:"name"` // acme/app:1.0, or acme/app@sha256:… without a tag
	Source   string        `json:"source"`
	Digest   digest.Digest `json:"digest"`
	Replaced digest.Digest `json:"replaced,omitempty"` // what stood there before, if it was something else
}

// A Content is what a repository got or had, each once.
type Content struct {
	Repository string `json:"repository"`
	Manifests  []Blob `json:"manifests"`
	Blobs      []Blob `json:"blobs"` // layers and configurations
}

// A Blob is one of them.
type Blob struct {
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"` // bytes
}

// A Past is what a registry knows of its imports.
type Past struct {
	Imports []Import // newest first
	Unread  []Unread // documents that say nothing to this program
	More    bool     // there are older ones, beyond MaxImports or maxBytes
}

// An Unread is a document that could not be made use of.
type Unread struct {
	Tag string
	Err error
}

// last returns the newest import that put something under a name, and what.
func (p Past) last(name string) (im *Import, put Name, known bool) {
	for i := range p.Imports {
		for _, n := range p.Imports[i].Names {
			if n.Name == name {
				return &p.Imports[i], n, true
			}
		}
	}
	return nil, Name{}, false
}

// A Replacement is a name that would stand for something else.
type Replacement struct {
	Name     string
	Old, New digest.Digest
}

// An Undoing is a replacement that takes back what a newer bundle did.
type Undoing struct {
	Replacement
	By Bundle // which put there what stands there
}

// Undone returns those replacements by which an import of b would undo a newer
// bundle's. What somebody else put under a name since is nobody's to protect.
func (p Past) Undone(b Bundle, replaced []Replacement) []Undoing {
	var all []Undoing
	for _, r := range replaced {
		im, put, known := p.last(r.Name)
		if known && put.Digest == r.Old && b.olderThan(im.Bundle) {
			all = append(all, Undoing{r, im.Bundle})
		}
	}
	return all
}

// An OverwriteError is an import that was not begun, since names stand for
// something that is to stay.
type OverwriteError struct {
	Registry string
	Names    []Replacement
}

func (e *OverwriteError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s has something else under %d of the names:", e.Registry, len(e.Names))
	for _, n := range e.Names {
		fmt.Fprintf(&b, "\n  %s: %s would become %s", n.Name, n.Old, n.New)
	}
	return b.String()
}

// Fault says what let it be refused.
func (e *OverwriteError) Fault() (fault.Kind, string) {
	return fault.Undoing, "nothing was changed; without --no-overwrite they are replaced"
}

// An UndoError is an import that was not begun, since it would put the old in the
// place of the new.
type UndoError struct {
	Bundle   Bundle
	Registry string
	Names    []Undoing
}

func (e *UndoError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "bundle %s of %s is older than what is in %s:", e.Bundle.ID, e.Bundle.Created.Format(time.RFC3339), e.Registry)
	for _, n := range e.Names {
		fmt.Fprintf(&b, "\n  %s: %s of bundle %s (%s) would become %s", n.Name, n.Old, n.By.ID, n.By.Created.Format(time.RFC3339), n.New)
	}
	return b.String()
}

// Fault says how to go back on purpose.
func (e *UndoError) Fault() (fault.Kind, string) {
	return fault.Undoing, "nothing was changed; --allow-older goes back to it all the same"
}
