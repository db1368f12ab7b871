package layout

import (
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxDepth is how deep indexes may be nested.
const maxDepth = 16

// Reachable returns everything that the roots name, directly or through other
// manifests, and the roots themselves: each digest once, every document after
// all that it names, otherwise in the order in which they are named. That is
// the order in which a registry accepts them. A result is plain: media type,
// digest and size.
//
// fetch returns the verified bytes of a manifest or an index; it is called
// once for each. A document that is itself wrong, or two descriptors that
// contradict each other, give a [*ContentError] that names the digest.
func Reachable(roots []ocispec.Descriptor, fetch func(ocispec.Descriptor) ([]byte, error)) ([]ocispec.Descriptor, error) {
	w := walker{fetch: fetch, seen: make(map[digest.Digest]*visit)}
	for _, d := range roots {
		if err := checkManifestDescriptor(d); err != nil {
			return nil, contentErrorf("root", "%w", err)
		}
		if err := w.walk(d, 1); err != nil {
			return nil, err
		}
	}
	return w.order, nil
}

type visit struct {
	descriptor ocispec.Descriptor
	done       bool
}

type walker struct {
	fetch func(ocispec.Descriptor) ([]byte, error)
	seen  map[digest.Digest]*visit
	order []ocispec.Descriptor
}

func (w *walker) walk(d ocispec.Descriptor, depth int) error {
	if before := w.seen[d.Digest]; before != nil {
		return before.agree(d)
	}
	subject := d.Digest.String()
	if len(w.seen) == MaxEntries {
		return contentErrorf(subject, "more than %d blobs are named", MaxEntries)
	}
	v := &visit{descriptor: ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}}
	w.seen[d.Digest] = v
	if IsManifest(d.MediaType) {
		if depth > maxDepth {
			return contentErrorf(subject, "indexes are nested deeper than %d levels", maxDepth)
		}
		if err := w.descend(d, depth); err != nil {
			return err
		}
	}
	v.done = true
	w.order = append(w.order, v.descriptor)
	return nil
}

func (w *walker) descend(d ocispec.Descriptor, depth int) error {
	data, err := w.fetch(d)
	if err != nil {
		return fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	subject := d.Digest.String()
	if int64(len(data)) != d.Size {
		return contentErrorf(subject, "has %d bytes, its descriptor says %d", len(data), d.Size)
	}
	list, err := children(d.MediaType, data)
	if err != nil {
		return contentErrorf(subject, "%w", err)
	}
	for _, child := range list {
		if err := w.walk(child, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// agree refuses a second descriptor of a digest that contradicts the first.
// Blobs may have two media types: the empty config is also used as a layer.
func (v *visit) agree(d ocispec.Descriptor) error {
	first, subject := v.descriptor, d.Digest.String()
	switch {
	case !v.done:
		return contentErrorf(subject, "is part of itself (cycle)")
	case first.Size != d.Size:
		return contentErrorf(subject, "is named with two sizes, %d and %d", first.Size, d.Size)
	case first.MediaType != d.MediaType && (IsManifest(first.MediaType) || IsManifest(d.MediaType)):
		return contentErrorf(subject, "is named with two media types, %s and %s", first.MediaType, d.MediaType)
	}
	return nil
}
