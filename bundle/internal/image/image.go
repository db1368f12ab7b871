// Package image reads all that is small about an image from its registry: its
// indexes and manifests, the platforms it is for, and what is attached to it.
//
// The contract: no layer is fetched; every document is checked against its
// digest and bounded in size; a choice of platforms rewrites an index and leaves
// the rest byte for byte.
//
//	wanted, err := image.Collect(findings)
//	images, err := image.NewResolver(client, jobs).Images(ctx, wanted, image.Choice{})
package image

import (
	"io"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/name"
	"bundle/bundle/internal/record"
	"bundle/layout"
)

// Record is what a bundle says of the image, which has so many bytes: every blob
// once, manifests included.
func (im *Image) Record(size int64) record.Image {
	r := record.Image{
		Reference: im.Name(),
		Digest:    im.Root.Digest,
		MediaType: im.Root.MediaType,
		Size:      size,
		Found:     im.Found,

		Subject:     im.Subject,
		Destination: im.Destination,
		SignedBy:    im.SignedBy,
	}
	if im.Source.Digest != im.Root.Digest {
		r.SourceDigest = im.Source.Digest
	}
	for _, p := range im.platforms {
		r.Platforms = append(r.Platforms, p.String())
	}
	return r
}

// An Image is one reference with everything small about it read: the plan is
// made from these, before the first layer moves.
type Image struct {
	Ref       name.Reference
	Source    ocispec.Descriptor // what the registry answered
	Root      ocispec.Descriptor // what goes into the bundle
	Content   Tree
	platforms []Platform
	Found     []record.Finding

	Subject     digest.Digest // what it is attached to, where it is a referrer
	SignedBy    []string      // fingerprints of the keys that a policy wants, and that signed it
	Destination string        // path:tag on the other side, where the user chose it
	Files       Files         // where it lies; nil: in the registry of Ref

	Lacks     []Platform           // platforms that were asked for, and that it does not have
	Lost      []digest.Digest      // attestations that its registry does not serve, left out
	Elsewhere []ocispec.Descriptor // layers that may lie elsewhere, and that its registry has

	wanted   []Platform           // those that it is reduced to; none: it is not
	unserved []ocispec.Descriptor // layers that lie elsewhere alone
	read     int64                // bytes of manifests and configs below the root
}

// Files is an image that lies in files.
type Files interface {
	// Root returns the manifest or index and its descriptor.
	Root() (ocispec.Descriptor, []byte, error)
	Has(d ocispec.Descriptor) bool
	// Open reads a blob from an offset on; fs.ErrNotExist where it is not there.
	Open(d ocispec.Descriptor, offset int64) (io.ReadCloser, error)
}

// Unserved reports whether a layer of the image is not where the image is.
func (im *Image) Unserved(d digest.Digest) bool {
	return slices.ContainsFunc(im.unserved, func(x ocispec.Descriptor) bool { return x.Digest == d })
}

// manifests are the manifests of the image, its indexes left out.
func (im *Image) manifests() (list []ocispec.Descriptor) {
	im.walk(func(d ocispec.Descriptor) {
		if layout.IsManifest(d.MediaType) && !layout.IsIndex(d.MediaType) {
			list = append(list, d)
		}
	})
	return list
}

// layers are the blobs that the image needs, manifests left out.
func (im *Image) layers() (list []digest.Digest) {
	im.walk(func(d ocispec.Descriptor) {
		if !layout.IsManifest(d.MediaType) {
			list = append(list, d.Digest)
		}
	})
	return list
}

func (im *Image) walk(visit func(ocispec.Descriptor)) {
	all, _ := layout.Reachable([]ocispec.Descriptor{im.Root}, im.Content.Fetch) // what is wrong with it, the plan will say
	for _, d := range all {
		visit(d)
	}
}

// Name is the image's name in index.json. A reference pinned to a digest that
// a platform choice replaced carries the digest that is inside.
func (im *Image) Name() string {
	r := im.Ref
	if r.Digest != "" {
		r.Digest = im.Root.Digest
	}
	return r.String()
}

// forgetUnreachable drops what a platform choice left behind, so that it is
// neither counted nor carried.
func (im *Image) forgetUnreachable() error {
	all, err := layout.Reachable([]ocispec.Descriptor{im.Root}, im.Content.Fetch)
	if err != nil {
		return err
	}
	kept := make(Tree)
	for _, d := range all {
		if b, ok := im.Content[d.Digest]; ok {
			kept[d.Digest] = b
		}
	}
	im.Content = kept
	return nil
}
