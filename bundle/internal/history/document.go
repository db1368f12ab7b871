package history

import (
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/name"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/push"
)

// NewBundle says which bundle b is.
func NewBundle(b *open.Bundle) Bundle {
	return Bundle{
		ID:      b.Record.ID,
		Created: b.Record.Created,
		Serial:  b.Record.Serial,
		Sums:    digest.FromBytes(b.Sums),
	}
}

// NewImport says what an import of b brought to a target: images are all of its
// names there, those that were refused left out.
func NewImport(b *open.Bundle, target place.Registry, images []push.Image, tool string) (Import, error) {
	im := Import{
		Version:      version,
		Tool:         tool,
		Finished:     time.Now().UTC().Truncate(time.Second),
		Bundle:       NewBundle(b),
		Vouched:      b.Vouched,
		Names:        []Name{},
		Repositories: []Content{},
	}
	roots := make(map[digest.Digest]ocispec.Descriptor)
	for _, d := range b.Index.Manifests {
		roots[d.Digest] = d
	}
	contents := make(map[string]*Content)
	var order []string
	for _, image := range images {
		if image.Refused != "" {
			continue
		}
		ref, err := name.Parse(image.Target)
		if err != nil {
			return Import{}, err
		}
		repo := strings.TrimPrefix(ref.Repository(), target.String()+"/")
		d := digest.Digest(image.Digest)
		im.Names = append(im.Names, Name{Name: below(target, ref), Source: image.Source, Digest: d, Replaced: image.Replaces})
		c := contents[repo]
		if c == nil {
			c = &Content{Repository: repo, Manifests: []Blob{}, Blobs: []Blob{}}
			contents[repo], order = c, append(order, repo)
		}
		manifests, blobs, err := b.BlobsOf(roots[d])
		if err != nil {
			return Import{}, err
		}
		c.Manifests, c.Blobs = add(c.Manifests, manifests), add(c.Blobs, blobs)
	}
	for _, repo := range order {
		c := contents[repo]
		c.Manifests, c.Blobs = each(c.Manifests), each(c.Blobs)
		im.Repositories = append(im.Repositories, *c)
	}
	return im, nil
}

func add(list []Blob, found []ocispec.Descriptor) []Blob {
	for _, d := range found {
		list = append(list, Blob{d.Digest, d.Size})
	}
	return list
}

func each(list []Blob) []Blob {
	slices.SortFunc(list, func(x, y Blob) int { return strings.Compare(string(x.Digest), string(y.Digest)) })
	return slices.Compact(list)
}

// NewReplacement says which name of the target would stand for something else.
func NewReplacement(target place.Registry, image push.Image) (Replacement, error) {
	ref, err := name.Parse(image.Target)
	return Replacement{Name: below(target, ref), Old: image.Replaces, New: digest.Digest(image.Digest)}, err
}

// below is a name as documents have it: a tag goes before a digest.
func below(target place.Registry, ref name.Reference) string {
	repo := strings.TrimPrefix(ref.Repository(), target.String()+"/")
	if ref.Tag != "" {
		return repo + ":" + ref.Tag
	}
	return repo + "@" + ref.Digest.String()
}
