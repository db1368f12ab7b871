package open

import (
	"errors"
	"io"
	"io/fs"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/name"
)

// Contents are the blobs of a bundle and of those that lend it what it leaves out, as
// a new bundle takes them.
type Contents struct{ *Bundle }

// Root is none: a bundle has many.
func (c Contents) Root() (ocispec.Descriptor, []byte, error) {
	return ocispec.Descriptor{}, nil, errors.New("a bundle is not one image")
}

// Has reports whether a blob is there.
func (c Contents) Has(d ocispec.Descriptor) bool { return c.Bundle.Has(d.Digest) }

// Open reads a blob from an offset on, unverified: who writes it checks it.
func (c Contents) Open(d ocispec.Descriptor, offset int64) (io.ReadCloser, error) {
	r := c.Reader
	if l := c.lender(d.Digest); l != nil {
		r = l.reader
	}
	all, ok := r.Section(d.Digest)
	if !ok {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(io.NewSectionReader(all, offset, all.Size()-offset)), nil
}

// Lender is the path of the other bundle that a blob is taken from; own where there is
// none.
func (b *Bundle) Lender(d digest.Digest, own string) string {
	if l := b.lender(d); l != nil {
		return l.path
	}
	return own
}

// Needers names an image for each of some blobs.
func (b *Bundle) Needers(some map[digest.Digest]bool) (map[digest.Digest]string, error) {
	all := make(map[digest.Digest]string)
	for _, root := range b.Index.Manifests {
		_, blobs, err := b.BlobsOf(root)
		if err != nil {
			return nil, err
		}
		for _, d := range blobs {
			if some[d.Digest] && all[d.Digest] == "" {
				all[d.Digest] = name.Of(root)
			}
		}
	}
	return all, nil
}
