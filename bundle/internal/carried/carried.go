// Package carried opens the charts that a bundle carries, and so checks the whole of a
// bundle: what package open knows of bytes, and that the charts among them are some.
//
// The contract: what is no chart, or not the one that the record names, is damage.
//
//	c, err := carried.Chart(b, b.Record.Charts[0])
//	err = carried.Check(ctx, b, pr) // of every byte, and of all charts
package carried

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/progress"
	"bundle/bundle/internal/record"
)

// Whatever may be exported can be read here.
const _ = uint(open.MaxSmall - chart.MaxArchive)

// Chart opens a chart of the bundle.
func Chart(b *open.Bundle, rec record.Chart) (*chart.Chart, error) {
	archive, err := b.ChartArchive(rec)
	if err != nil {
		return nil, err
	}
	c, err := chart.Open(archive)
	if err == nil && (c.Name() != rec.Name || c.Version() != rec.Version) {
		err = fmt.Errorf("the archive holds %s %s", c.Name(), c.Version())
	}
	if err != nil {
		return nil, fault.Damage("chart "+rec.Label(), err)
	}
	return c, nil
}

// Check checks what opening a bundle leaves: every byte that is there, and the charts. It
// ends with an [*open.MissingError] where parts are not there.
func Check(ctx context.Context, b *open.Bundle, pr progress.Reporter) error {
	if err := b.CheckBytes(ctx, pr); err != nil {
		return err
	}
	type archive struct {
		digest        digest.Digest
		name, version string
	}
	opened := make(map[archive]bool) // several releases may be of one chart
	for _, c := range b.Record.Charts {
		a := archive{c.Digest, c.Name, c.Version}
		if opened[a] {
			continue
		}
		if _, err := Chart(b, c); err != nil {
			return err
		}
		opened[a] = true
	}
	return b.Lacking(b.Blobs, nil)
}
