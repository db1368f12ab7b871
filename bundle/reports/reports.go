// Package reports has what the functions of package bundle return: a report for each,
// of the same name, what reports consist of, and the errors that carry more than a text.
//
// The contract: these are values and nothing else. Whoever has one may change it and
// keep it; none reads a file or asks a registry. As long as [SchemaVersion] is the same,
// JSON keys that are given here mean the same; what commands print with --json is made
// of these, and described by `bundle help schema`.
//
//	imported, err := bundle.Import(ctx, path, o) // a *reports.Import
//	for _, im := range imported.Images {         // each a reports.ImportImage
//		fmt.Println(im.Reference, im.Target, im.Digest)
//	}
package reports

import (
	"time"

	"github.com/opencontainers/go-digest"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/check"
	"bundle/bundle/internal/cosign"
	"bundle/bundle/internal/diff"
	"bundle/bundle/internal/emit"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/history"
	"bundle/bundle/internal/image"
	"bundle/bundle/internal/kit"
	"bundle/bundle/internal/media"
	"bundle/bundle/internal/nodes"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/push"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/remote"
	"bundle/bundle/internal/rewrite"
	"bundle/bundle/internal/source"
	"bundle/bundle/internal/transfer"
	"bundle/bundle/internal/trust"
	"bundle/bundle/internal/words"
	"bundle/layout/parts"
)

// SchemaVersion is the version of the words in which reports and receipts are.
const SchemaVersion = words.SchemaVersion

// Complete puts empty lists in the place of nil ones, so that JSON has no null. r is
// a pointer to a report.
func Complete(r any) { words.Complete(r) }

// What a bundle says of itself.
type (
	Record      = record.Record
	ChartRecord = record.Chart    // one chart in it
	ImageRecord = record.Image    // one image in it
	Finding     = record.Finding  // where a reference was seen
	Requires    = record.Requires // of a delta: what it leaves out
	BaseKind    = record.BaseKind // what says so
	BaseRecord  = record.Base     // who does
	Layer       = record.Layer    // one of those
	PartsReport = open.PartsReport
	Vouched     = trust.Vouched // by whom a bundle is signed
	Voucher     = trust.Voucher // one of them
)

// What an export did, or found.
type (
	Fetched = chart.Fetched   // a chart that came over the network
	Unasked = image.Unasked   // a registry that did not answer for signatures
	Change  = transfer.Change // a reference that moved between two runs
	Written = media.Written   // a part that is on its medium
	Damage  = parts.Damage    // what is lost of one

	Verdict     = cosign.Verdict // what a policy on signatures says of an image
	BesideFile  = kit.Written    // a file beside the bundle
	Program     = kit.Program    // one that is for the far side
	ListedChart = source.Listed  // a chart whose images were listed
)

// Lacking is an image that does not have all platforms that were asked for.
type Lacking struct {
	Reference string   `json:"reference"`
	Lacks     []string `json:"lacks"`
	Takes     []string `json:"takes"` // what of it is in the bundle
}

// LeftBehind is an attestation of a reduced image that its registry does not
// serve.
type LeftBehind struct {
	Reference string        `json:"reference"`
	Digest    digest.Digest `json:"digest"`
}

// Elsewhere is a layer of a foreign or non-distributable type, or with URLs, that
// the image's registry has all the same.
type Elsewhere struct {
	Reference string        `json:"reference"`
	Digest    digest.Digest `json:"digest"`
	MediaType string        `json:"mediaType"`
	Size      int64         `json:"size"`
	URLs      []string      `json:"urls"` // where else it is said to lie; nothing is fetched from there
}

// Base says what a base was good for.
type Base struct {
	Path        string          `json:"path"`
	ID          string          `json:"id"`
	Kind        record.BaseKind `json:"kind"`
	Created     time.Time       `json:"created"`
	Fingerprint string          `json:"fingerprint,omitempty"` // of the trusted key that signed it; empty: it is a hint
	Layers      int             `json:"layers"`                // that stay out since it has them
	Bytes       int64           `json:"bytes"`                 // of those
}

// A DisabledImage appears when a component that is off is switched on.
type DisabledImage struct {
	record.Finding
	Switch []string `json:"switch"` // values keys to set true together
}

// What an import did.
type (
	State       = words.State      // what became of a name in a registry
	ImportImage = push.Image       // a reference, old and new
	ImportKind  = place.Kind       // what that is
	Lot         = push.Lot         // what one of several machines pushed
	Bytes       = push.Bytes       // what moved
	ImportChart = emit.ChartReport // what became of a chart
	LeftFinding = emit.Left        // a reference that values do not move
	RewriteMap  = rewrite.Map      // what a post-renderer makes of references
	Wait        = remote.Wait      // a host that does not answer
)

// What can move a reference that values do not.
const (
	WayPostRender  = emit.WayPostRender
	WayPostRender3 = emit.WayPostRender3
	WayPostRender4 = emit.WayPostRender4
	WayKustomize   = emit.WayKustomize
	WayMirror      = emit.WayMirror
	WayMirrorOther = emit.WayMirrorOther
)

// What an import did, for the audit file.
type (
	Receipt       = emit.Receipt
	ReceiptBundle = emit.ReceiptBundle
	ReceiptImage  = emit.ReceiptImage
	ReceiptChart  = emit.ReceiptChart
	ReceiptFile   = emit.ReceiptFile
	ReceiptLeft   = emit.ReceiptLeft
	ReceiptLayer  = emit.ReceiptLayer
)

// What a registry has, and knows of its imports.
type (
	Checked    = check.Result    // a name, and whether the registry has it
	PastImport = history.Import  // an import that it remembers
	PastBundle = history.Bundle  // what was imported
	PastName   = history.Name    // a name that it pushed
	PastPlace  = history.Content // a repository, and what it brought there
	PastBlob   = history.Blob
	Standing   = history.Standing // what stands under a name
	Lost       = history.Lost     // what a name needs, and is not there
)

// What differs between two bundles.
type (
	Changes     = diff.Report
	ChartChange = diff.Chart
	ImageChange = diff.Image
	ValueChange = diff.Value
	DiffWeight  = diff.Weight
	DiffLayers  = diff.Layers
	DiffCount   = diff.Count
)

// States of what differs between two bundles, and of files.
const (
	Added   = words.Added
	Removed = words.Removed
	Changed = words.Changed
	Present = words.Present
	Missing = words.Missing
)

// What errors carry, for [errors.As].
type (
	Item            = fault.Item            // one of several things that an error is about
	DamagedError    = fault.DamagedError    // a bundle that contradicts itself
	IncompleteError = fault.IncompleteError // references that need the user
	ConfigError     = fault.ConfigError     // a line of a configuration file
	MissingError    = open.MissingError     // parts that are still to be brought
	StaleError      = trust.StaleError      // a bundle that was made too long ago, or not yet
	VersionError    = record.VersionError   // a format that is not known
	CollisionError  = place.CollisionError  // names that would become one
	RefusedError    = push.RefusedError     // what a registry did not take
	LackError       = push.LackError        // layers that a delta leaves out, and nobody has
	Lack            = push.Lack             // one of those
)

// Served is a bundle that a server offers.
type Served struct {
	Bundle ReceiptBundle
	Vouched
	Charts, Images int
	Lacks          int   // layers that a delta leaves out, and none of the bundles has: they are not found
	LacksBytes     int64 // of those

	Missing *open.MissingError // parts on no medium that was named; what is in them is not found
}

// NodeFile is one that the container runtime of a node needs, to pull from such a
// server what it knows by its source.
type NodeFile = nodes.File

// A Repaired is a part as it was.
type Repaired struct {
	Name string `json:"name"`
	Path string `json:"path"`
	Size int64  `json:"size"`
	Kept bool   `json:"kept,omitempty"` // it was there already, as it should be
}

// Size writes a number of bytes for people, in powers of 1000 as disks are sold.
func Size(n int64) string { return fault.Size(n) }
