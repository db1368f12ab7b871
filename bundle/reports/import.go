package reports

import (
	"time"

	"bundle/bundle/internal/emit"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/push"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/trust"
)

// Blobs says what one machine has pushed of a bundle.
type Blobs struct {
	DryRun  bool
	Bundle  emit.ReceiptBundle
	ID      string
	Created time.Time
	trust.Vouched
	Registry string
	push.Lot
	Warnings []string
	Parts    *open.PartsReport  // of a bundle in parts: what was there
	Missing  *open.MissingError // what is still to be brought
}

// An Import says what was verified, pushed and written.
type Import struct {
	DryRun  bool
	Bundle  emit.ReceiptBundle
	ID      string
	Created time.Time
	trust.Vouched
	Requires  *record.Requires // of a delta: what it leaves out
	Registry  string
	Images    []push.Image
	Charts    []emit.ChartReport
	Excluded  []string // references inside that were left out
	Bytes     push.Bytes
	Warnings  []string
	OutputDir string             // empty after a dry run
	Receipt   string             // where it was written
	Parts     *open.PartsReport  // of a bundle in parts: what was there
	Missing   *open.MissingError // what is still to be brought; then nothing but blobs was pushed
	Kept      []string           // files of an earlier import that somebody changed: they were left there
}

// Values says with which values charts pull their images from a registry.
type Values struct {
	Registry string
	Charts   []ChartValues
}

// A ChartValues is what was found for one chart.
type ChartValues struct {
	emit.ChartReport        // without what only an import has
	Values           []byte // the values file
}
