package open

import (
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/image"
	"bundle/bundle/internal/record"
	"bundle/layout"
)

// checkImages requires that what the record says of its images is so: their
// kind and size, the names that charts know them by, and which digests a
// choice of platforms changed.
func (b *Bundle) checkImages() error {
	c := &imageCheck{
		bundle: b, roots: make(map[string]ocispec.Descriptor), sizes: make(map[digest.Digest]int64),
		effort: 2*cost(b.Blobs) + sharing,
	}
	inside := make(map[digest.Digest]bool)
	for _, d := range b.Index.Manifests {
		c.roots[d.Annotations[ocispec.AnnotationRefName]] = d
		inside[d.Digest] = true
	}
	if err := c.referrers(); err != nil {
		return err
	}
	moved := make(map[digest.Digest]digest.Digest)
	for _, im := range b.Record.Images {
		if im.Subject != "" {
			return fmt.Errorf("%s: an image, but attached to another", im.Reference)
		}
		if err := c.image(im); err != nil {
			return fmt.Errorf("%s: %w", im.Reference, err)
		}
		if im.SourceDigest == "" {
			continue
		}
		if now, ok := moved[im.SourceDigest]; inside[im.SourceDigest] || ok && now != im.Digest {
			return fmt.Errorf("%s: source digest %s stands for something else too", im.Reference, im.SourceDigest)
		}
		moved[im.SourceDigest] = im.Digest
	}
	return nil
}

// An imageCheck compares what a record says of images with what there is.
type imageCheck struct {
	bundle *Bundle
	roots  map[string]ocispec.Descriptor // index.json, by name
	sizes  map[digest.Digest]int64       // of whole images; many names may stand for one
	effort int64                         // what reading the images' manifests may still take, see cost
}

// sharing is how much manifests may be read again because several images name
// them, in the measure of cost. Without a limit the work would grow with the
// square of a bundle.
const sharing = 16 << 20

// cost is about what it takes to read manifests, in bytes.
func cost(all []ocispec.Descriptor) (n int64) {
	for _, d := range all {
		if layout.IsManifest(d.MediaType) {
			n += 2048 + d.Size
		}
	}
	return n
}

// size is the number of bytes of everything that root needs.
func (c *imageCheck) size(root ocispec.Descriptor) (int64, error) {
	if n, known := c.sizes[root.Digest]; known {
		return n, nil
	}
	manifests, blobs, err := c.bundle.BlobsOf(root)
	if err != nil {
		return 0, err
	}
	if c.effort -= cost(manifests); c.effort < 0 {
		return 0, errors.New("it shares more manifests with other images than can be read in reasonable time")
	}
	var n int64
	for _, d := range append(manifests, blobs...) {
		n += d.Size
	}
	c.sizes[root.Digest] = n
	return n, nil
}

func (c *imageCheck) image(im record.Image) error {
	root := c.roots[im.Reference]
	size, err := c.size(root)
	if err != nil {
		return err
	}
	for _, key := range im.SignedBy {
		if d := digest.Digest(key); d.Validate() != nil || d.Algorithm() != digest.SHA256 {
			return fmt.Errorf("it says that it is signed by %q, which is no fingerprint", key)
		}
	}
	switch {
	case im.MediaType != root.MediaType:
		return fmt.Errorf("it says media type %q; index.json says %s", im.MediaType, root.MediaType)
	case im.Size != size:
		return fmt.Errorf("it says %d bytes; there are %d", im.Size, size)
	case im.SourceDigest == "":
	case im.SourceDigest.Validate() != nil || im.SourceDigest.Algorithm() != digest.SHA256:
		return fmt.Errorf("source digest %q is none", im.SourceDigest)
	case im.SourceDigest == im.Digest || !layout.IsIndex(root.MediaType):
		return fmt.Errorf("source digest %s, but no choice of platforms changed it", im.SourceDigest)
	}
	for _, f := range im.Found {
		if err := im.CheckFound(f); err != nil {
			return err
		}
	}
	if err := c.platforms(im, root); err != nil {
		return err
	}
	return im.CheckDestination()
}

// platforms requires that the record says for which platforms an image is.
func (c *imageCheck) platforms(im record.Image, root ocispec.Descriptor) error {
	t := make(image.Tree)
	if err := c.bundle.readPlatforms(t, root); err != nil {
		return err
	}
	var there []string
	for _, p := range t.Platforms(root) {
		there = append(there, p.String())
	}
	if !slices.Equal(there, im.Platforms) {
		return fmt.Errorf("it says it is for %q; it is for %q", im.Platforms, there)
	}
	return nil
}

// readPlatforms reads what tells the platforms of an image: its indexes, or else
// its config.
func (b *Bundle) readPlatforms(t image.Tree, d ocispec.Descriptor) error {
	if t[d.Digest] != nil {
		return nil
	}
	doc, err := b.Document(d)
	if err != nil {
		return err
	}
	t[d.Digest] = doc
	children, err := layout.Children(d.MediaType, doc)
	if err != nil {
		return err
	}
	for _, child := range children {
		switch {
		case layout.IsIndex(child.MediaType):
			err = b.readPlatforms(t, child)
		case image.IsImageConfig(child) && child.Size <= image.MaxConfig:
			t[child.Digest], err = b.readWhole(layout.BlobName(child.Digest), image.MaxConfig)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// referrers is the same for what is attached to images.
func (c *imageCheck) referrers() error {
	subjects := make(map[digest.Digest]bool)
	for _, d := range c.bundle.Blobs {
		subjects[d.Digest] = layout.IsManifest(d.MediaType)
	}
	for _, r := range c.bundle.Record.Referrers {
		err := c.image(r)
		if err == nil {
			err = r.CheckReferrer(subjects[r.Subject])
		}
		if err != nil {
			return fmt.Errorf("%s: %w", r.Reference, err)
		}
	}
	return nil
}
