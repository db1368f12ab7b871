package plan

import (
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/image"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/record"
)

// A Copy is what a bundle that exists brings to a new one.
type Copy struct {
	Record    *record.Record       // of the new one
	Roots     []ocispec.Descriptor // what index.json names, but for the record
	Documents image.Tree           // indexes and manifests
	Small     []ocispec.Descriptor // blobs that a bundle is opened with, in order
	Layers    []ocispec.Descriptor // the others, in order
	From      image.Files          // what has both
	Needs     map[string][]digest.Digest
}

// Copied lays out a bundle of what another has. It has the time that the record says,
// and the id that an export of the same would have.
func Copied(c Copy) (*Plan, error) {
	p := &Plan{
		Record: c.Record, Created: c.Record.Created, Needs: c.Needs,
		known: make(image.Tree), From: make(map[digest.Digest]string), Local: make(map[digest.Digest]image.Files),
	}
	p.known.Put(ocispec.MediaTypeEmptyJSON, ocispec.DescriptorEmptyJSON.Data)
	p.learn(c.Documents)
	known := func(d ocispec.Descriptor) bool { return p.known[d.Digest] != nil }
	small := slices.DeleteFunc(slices.Clone(c.Small), known)
	p.Fetch, p.Configs = slices.Concat(small, c.Layers), len(small)
	for _, d := range p.Fetch {
		p.Local[d.Digest] = c.From
	}
	index := make([]ocispec.Descriptor, 0, len(c.Roots)+1)
	for _, d := range c.Roots {
		index = append(index, name.Entry(d, name.Of(d)))
	}
	var err error
	if p.Record.ID, err = contentID(index, p.Record); err != nil {
		return nil, err
	}
	return p, p.finish(index)
}
