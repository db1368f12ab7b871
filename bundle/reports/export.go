package reports

import (
	"time"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/cosign"
	"bundle/bundle/internal/image"
	"bundle/bundle/internal/kit"
	"bundle/bundle/internal/media"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/source"
	"bundle/bundle/internal/transfer"
	"bundle/bundle/internal/trust"
)

// An Export says what went into a bundle, or would.
type Export struct {
	DryRun      bool
	Tool        string
	Serial      int64
	Expires     time.Time
	KeyType     string
	Output      string            // empty after a dry run
	Size        int64             // of the whole file; 0 after a dry run
	Payload     int64             // bytes to fetch: each unique blob once
	Resumed     int64             // bytes of them that an earlier run had fetched
	Changed     []transfer.Change // references that moved since that run
	Blobs       int               // number of them
	ID          string
	Created     time.Time
	Fingerprint string // of the signing key
	Charts      []record.Chart
	Images      []record.Image
	Referrers   []record.Image
	Unresolved  []record.Finding
	Accepted    []record.Finding // neither pulled nor missed: answered by an image, or ignored
	Lacking     []Lacking        // images without some of the platforms asked for
	LeftBehind  []LeftBehind
	Elsewhere   []Elsewhere      // layers that may lie elsewhere, and travel
	Verdicts    []cosign.Verdict // of a policy on signatures
	Unasked     []image.Unasked  // registries that did not answer for signatures
	Parts       []media.Written  // of a bundle in parts: those that are on their media
	Count       int              // of a bundle in parts: how many there are
	Removed     []string         // files of another bundle in parts that was replaced
	Fetched     []chart.Fetched  // charts that came over the network, dependencies too
	NotTaken    []string
	Bases       []Base        // of a delta: what was left out
	Beside      []kit.Written // files that lie beside the bundle, with WithTool
	Programs    []kit.Program // of a dry run: those that would
	Warnings    []string      // what may go wrong with them
	Collisions  []string      // names that an import refuses to share, unless it keeps hosts in them
}

// Images lists the references of charts.
type Images struct {
	Found    []record.Finding
	Disabled []DisabledImage
	Failed   []string // switches with which the chart does not render
	Untried  int      // switches beyond what is tried
	NotTaken []string
	Charts   []source.Listed
}

// A Merge says what was written.
type Merge struct {
	Path        string
	Size        int64
	ID          string
	Created     time.Time
	Charts      int
	Images      int
	Layers      int    // that came from older bundles
	Bytes       int64  // of those
	Fingerprint string // of the key that signed
	KeyType     string
	Others      []trust.Voucher // who signed the delta
}
