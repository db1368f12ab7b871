package open

import (
	"encoding/json"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/record"
)

// OpenChart reads a chart's archive out of its manifest.
func (b *Bundle) OpenChart(rec record.Chart) (*chart.Chart, error) {
	damaged := func(err error) error { return fault.Damage("chart "+rec.Label(), err) }
	var m ocispec.Manifest
	doc, err := b.Document(ocispec.Descriptor{Digest: rec.Digest})
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(doc, &m); err != nil {
		return nil, damaged(err)
	}
	for _, l := range m.Layers {
		if !record.IsChartLayer(l.MediaType) {
			continue
		}
		if l.Size > chart.MaxArchive {
			return nil, damaged(fmt.Errorf("archive of %d bytes, more than the %d allowed", l.Size, int64(chart.MaxArchive)))
		}
		archive, err := b.Small(l)
		if err != nil {
			return nil, err
		}
		ch, err := chart.Open(archive)
		if err != nil {
			return nil, damaged(err)
		}
		if ch.Name() != rec.Name || ch.Version() != rec.Version {
			return nil, damaged(fmt.Errorf("the archive holds %s %s", ch.Name(), ch.Version()))
		}
		return ch, nil
	}
	return nil, damaged(fmt.Errorf("its manifest has no layer of type %s", record.HelmChartType))
}
