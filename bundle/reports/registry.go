package reports

import (
	"time"

	"bundle/bundle/internal/check"
	"bundle/bundle/internal/history"
	"bundle/bundle/internal/record"
)

// A Check says what a registry has of what is needed.
type Check struct {
	Registry   string
	Receipt    bool // it is about what an import put there
	Images     []check.Result
	Unresolved []record.Finding // in manifests, and no images as they stand
}

// An Inventory says what an inventory lists.
type Inventory struct {
	Path         string
	Registry     string
	ID           string // names the content
	Created      time.Time
	Recorded     bool   // by the records of imports; else by the tags of repositories
	Repositories int    // that were asked
	Blobs        int    // that are there
	Bytes        int64  // what they weigh together
	Lost         int    // blobs that are named, and are not there
	Fingerprint  string // of the key that signed; empty: nobody did
	KeyType      string
	Signature    string // file
	DigestsOnly  bool
	Warnings     []string
}

// A Status says what imports left in a registry, and what is there of it.
type Status struct {
	Registry string
	Imports  []history.Import   // newest first
	More     bool               // there are older ones, which were not read
	Names    []history.Standing // what stands under each name, by the last import that put something there
	Lost     []history.Lost     // what names need and the registry does not have
	Warnings []string
}
