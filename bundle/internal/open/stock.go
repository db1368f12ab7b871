package open

import (
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/name"
	"bundle/bundle/internal/record"
)

// A Stored is one layer, and where it stands.
type Stored struct {
	Size         int64
	Repositories []string // of images that need it: see [record.Layer]
}

// Stock lists the layers that whoever has imported the bundle has: those inside and,
// of a delta, those that it requires. Only images are looked at that arrived reports.
func (b *Bundle) Stock(arrived func(reference string) bool) (map[digest.Digest]Stored, error) {
	roots := make(map[string]ocispec.Descriptor)
	for _, d := range b.Index.Manifests {
		roots[name.Of(d)] = d
	}
	layers := b.Layers()
	all := make(map[digest.Digest]Stored)
	for _, im := range slices.Concat(b.Record.Images, b.Record.Referrers) {
		if !arrived(im.Reference) {
			continue
		}
		repos, err := repositoriesOf(im)
		if err != nil {
			return nil, err
		}
		_, blobs, err := b.BlobsOf(roots[im.Reference])
		if err != nil {
			return nil, err
		}
		for _, d := range blobs {
			if !layers[d.Digest] {
				continue
			}
			s := all[d.Digest]
			s.Size = d.Size
			for _, repo := range repos {
				if len(s.Repositories) < record.MaxRepositories && !slices.Contains(s.Repositories, repo) {
					s.Repositories = append(s.Repositories, repo)
				}
			}
			all[d.Digest] = s
		}
	}
	return all, nil
}

// repositoriesOf is where an image stands at its source, and before that the path
// that the user chose for the other side.
func repositoriesOf(im record.Image) ([]string, error) {
	ref, err := name.Parse(im.Reference)
	if err != nil {
		return nil, err
	}
	repos := []string{ref.Repository()}
	if im.Destination != "" {
		chosen, err := name.Parse(name.LocalHost + "/" + im.Destination)
		if err != nil {
			return nil, err
		}
		repos = []string{chosen.Repository(), ref.Repository()}
	}
	return repos, nil
}
