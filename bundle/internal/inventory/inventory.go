// Package inventory is a list of the blobs that a registry has, in a file that is
// carried to where bundles are made: what it lists need not travel again (SPEC.md).
//
// The contract: an [Inventory] says what was there at a time, by the word of whoever
// wrote it, and no more. Who relies on it asks the registry before anything depends
// on it; a wrong one makes a bundle too small, and nothing worse. What [Read]
// returns is within limits, sorted, each blob once, and safe to show.
//
//	inv, vouched, err := inventory.Read(ctx, "site.inventory", t)
//	for _, b := range inv.Blobs {
//		has[b.Digest] = b
//	}
package inventory

import (
	"time"

	"github.com/opencontainers/go-digest"
)

// version is the version of the documents that this package writes, and the
// newest it reads.
const version = 1

const (
	// maxSize bounds a document, in bytes.
	maxSize = 64 << 20
	// MaxBlobs bounds how many blobs it lists.
	MaxBlobs = 500_000
	// MaxRepositories bounds how many repositories stand beside a blob.
	MaxRepositories = 16
	// maxBlobSize bounds what a blob may say that it weighs, in bytes: 1 TiB.
	maxBlobSize = 1 << 40
	// maxText bounds a name, in bytes: as registries do.
	maxText = 255
)

// An Inventory is one document.
type Inventory struct {
	// ID names the content: the first 16 digits of the document's SHA-256. It is
	// computed, and stands in no document.
	ID       string
	Tool     string    // name and version of the program that wrote it
	Created  time.Time // whole seconds, UTC, by the clock of the machine that asked
	Registry string    // HOST[:PORT][/PREFIX]; empty: it carries no names
	Blobs    []Blob    // sorted by digest, each once
}

// A Blob is a layer or a configuration.
type Blob struct {
	Digest digest.Digest
	Size   int64 // bytes
	// Repositories are some of those, below the prefix, in which it was found;
	// empty where the inventory carries no names.
	Repositories []string
}

// Size is what all blobs weigh together, in bytes.
func (inv *Inventory) Size() (total int64) {
	for _, b := range inv.Blobs {
		total += b.Size
	}
	return total
}

// WithoutNames is the same inventory with digests and sizes alone.
func (inv *Inventory) WithoutNames() *Inventory {
	bare := &Inventory{Tool: inv.Tool, Created: inv.Created, Blobs: make([]Blob, len(inv.Blobs))}
	for i, b := range inv.Blobs {
		bare.Blobs[i] = Blob{Digest: b.Digest, Size: b.Size}
	}
	return bare
}
