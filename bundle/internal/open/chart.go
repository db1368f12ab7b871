package open

import (
	"encoding/json"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/record"
)

// MaxSmall is how many bytes a blob may have that is read into memory whole: a chart.
const MaxSmall = 100 << 20

// ChartArchive reads the archive of a chart, which its manifest names.
func (b *Bundle) ChartArchive(rec record.Chart) ([]byte, error) {
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
		if l.Size > MaxSmall {
			return nil, damaged(fmt.Errorf("archive of %d bytes, more than the %d allowed", l.Size, int64(MaxSmall)))
		}
		return b.Small(l)
	}
	return nil, damaged(fmt.Errorf("its manifest has no layer of type %s", record.HelmChartType))
}
