package bundle

import (
	"context"
	"errors"
	"fmt"

	"bundle/bundle/internal/carried"
	"bundle/bundle/internal/emit"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/progress"
	"bundle/bundle/reports"
)

// Verify checks everything there is to check in a bundle: signature, set of
// entries, graph, the checksum of every byte, and that the charts open. All
// damaged entries are named, not only the first.
//
// Of a bundle in parts, what is at path and in more is checked. Where that is not
// all, the error is a *reports.MissingError beside a valid report.
//
// A list of checksums, SHA256SUMS of a release, is checked with its signature and the
// files beside it.
func Verify(ctx context.Context, path string, trust *Trust, pr Progress, more ...string) (*reports.Verify, error) {
	if len(more) == 0 && isSums(path) {
		return verifySums(ctx, path, trust, progress.OrSilent(pr))
	}
	b, err := open.File(ctx, path, trust, more...)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	report := &reports.Verify{
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
	err = carried.Check(ctx, b, progress.OrSilent(pr))
	report.Parts = b.PartsReport() // with what was found meanwhile
	if errors.As(err, &report.Missing) {
		return report, err
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return report, nil
}
