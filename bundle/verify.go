package bundle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bundle/bundle/internal/emit"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/progress"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/trust"
)

// A VerifyReport says what was checked.
type VerifyReport struct {
	Bundle emit.ReceiptBundle `json:"bundle"`
	Path   string             `json:"path"`
	trust.Vouched
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	Entries int       `json:"entries"`

	Requires *record.Requires `json:"requires,omitempty"` // of a delta: what it leaves out
	Lent     int              `json:"lent"`               // layers of those that were read in other bundles

	Bytes int64 `json:"bytes"` // content that was hashed

	Parts   *open.PartsReport  `json:"parts,omitempty"` // of a bundle in parts: what was there
	Missing *open.MissingError `json:"missing,omitempty"`

	Files []ListedFile `json:"files,omitempty"` // of a list of checksums, not a bundle: what it names
}

// Verify checks everything there is to check in a bundle: signature, set of
// entries, graph, the checksum of every byte, and that the charts open. All
// damaged entries are named, not only the first.
//
// Of a bundle in parts, what is at path and in more is checked. Where that is not
// all, the error is a *MissingError beside a valid report.
//
// A list of checksums, SHA256SUMS of a release, is checked with its signature and the
// files beside it.
func Verify(ctx context.Context, path string, trust *trust.Trust, pr progress.Reporter, more ...string) (*VerifyReport, error) {
	if len(more) == 0 && isList(path) {
		return verifyList(ctx, path, trust, progress.OrSilent(pr))
	}
	b, err := open.File(ctx, path, trust, more...)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	report := &VerifyReport{
		Bundle:  emit.About(path, b),
		Path:    path,
		Vouched: b.Vouched,
		ID:      b.Record.ID,
		Created: b.Record.Created,
		Entries: b.Reader.Len(),

		Requires: b.Record.Requires,
		Lent:     b.Lent(),

		Bytes: b.Payload(),
	}
	err = b.CheckAll(ctx, progress.OrSilent(pr))
	report.Parts = b.PartsReport() // with what was found meanwhile
	if errors.As(err, &report.Missing) {
		return report, err
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return report, nil
}
