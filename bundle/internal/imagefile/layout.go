package imagefile

import (
	"fmt"
	"io/fs"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/name"
	"bundle/layout"
)

// annotationContainerd is the name under which containerd registers an image.
const annotationContainerd = "io.containerd.image.name"

// layoutImages lists the images of an OCI layout, each digest once.
func layoutImages(f files) ([]*Image, error) {
	index, err := readSmall(f, layout.IndexFile, layout.MaxManifestSize)
	if err != nil {
		return nil, err
	}
	list, err := layout.Listed(ocispec.MediaTypeImageIndex, index)
	if err != nil {
		return nil, err
	}
	var all []*Image
	byDigest := make(map[digest.Digest]*Image)
	for _, d := range list {
		names := []string{d.Annotations[annotationContainerd], d.Annotations[ocispec.AnnotationRefName]}
		if im := byDigest[d.Digest]; im != nil {
			im.aliases = append(im.aliases, names...)
			im.Name = best(append(names, im.Name))
			continue
		}
		if !layout.IsManifest(d.MediaType) || strings.HasPrefix(names[1], "sha256-") {
			continue // a signature by cosign, or what is no image
		}
		root := ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
		im := &Image{Name: best(names), files: f, root: root, aliases: names}
		if err := im.readRoot(); err != nil {
			return nil, err
		}
		byDigest[d.Digest] = im
		all = append(all, im)
	}
	return all, nil
}

func (im *Image) readRoot() error {
	b, err := im.open(im.root)
	if err != nil {
		return fmt.Errorf("manifest %s: %w", im.root.Digest, err)
	}
	defer b.Close()
	if b.Size() != im.root.Size || b.Size() > layout.MaxManifestSize {
		return fmt.Errorf("manifest %s has %d bytes, its descriptor says %d", im.root.Digest, b.Size(), im.root.Size)
	}
	if im.manifest, err = readSmall(im.files, layout.BlobName(im.root.Digest), layout.MaxManifestSize); err != nil {
		return err
	}
	if got := digest.FromBytes(im.manifest); got != im.root.Digest {
		return fmt.Errorf("manifest %s: %w: its content has the digest %s", im.root.Digest, fs.ErrInvalid, got)
	}
	return nil
}

// best is the first name that is one in full, else the first that there is.
func best(names []string) string {
	some := ""
	for _, n := range names {
		if full(n) != "" {
			return n
		}
		if some == "" {
			some = n
		}
	}
	return some
}

// full is a name with its host, or empty for a tag alone: 1.27 is none.
func full(s string) string {
	if !strings.ContainsAny(s, "/:@") {
		return ""
	}
	ref, err := name.Parse(s)
	if err != nil {
		return ""
	}
	return ref.String()
}

// Full reports whether a name says more than a tag.
func Full(name string) bool { return full(name) != "" }
