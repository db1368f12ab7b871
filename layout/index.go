package layout

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Limits in bytes. Registries commonly refuse manifests above 4 MiB (OCI
// distribution-spec 1.1, "Pushing Manifests").
const (
	MaxIndexSize    = 16 << 20
	MaxManifestSize = 4 << 20
	maxNameSize     = 1024 // of a reference, in an annotation
)

// annotationContainerd is what containerd takes for the name of an image, in
// place of the standard annotation.
const annotationContainerd = "io.containerd.image.name"

// ParseLayout checks the content of the oci-layout entry. Errors are
// [*ContentError].
func ParseLayout(data []byte) error {
	if !bytes.Equal(data, LayoutContent()) {
		return contentErrorf(LayoutFile, "content is not %s", LayoutContent())
	}
	return nil
}

// ParseIndex reads the content of index.json: an OCI index (image-spec 1.1,
// "Image Index") in which every descriptor is a manifest or an index and has a
// name of its own, org.opencontainers.image.ref.name. Errors are
// [*ContentError].
func ParseIndex(data []byte) (ocispec.Index, error) {
	var index ocispec.Index
	err := indexRules.Decode(data, &index)
	if err == nil {
		err = checkIndex(index)
	}
	if err != nil {
		return ocispec.Index{}, contentErrorf(IndexFile, "%w", err)
	}
	return index, nil
}

func checkIndex(index ocispec.Index) error {
	switch {
	case index.SchemaVersion != 2:
		return fmt.Errorf("schemaVersion is %d, not 2", index.SchemaVersion)
	case index.MediaType != ocispec.MediaTypeImageIndex:
		return fmt.Errorf("media type is %q, not %s", index.MediaType, ocispec.MediaTypeImageIndex)
	case index.Subject != nil:
		return fmt.Errorf("it has a subject")
	}
	names := make(map[string]bool)
	for i, d := range index.Manifests {
		if err := checkNamed(d, names); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
	}
	return nil
}

func checkNamed(d ocispec.Descriptor, names map[string]bool) error {
	if err := checkManifestDescriptor(d); err != nil {
		return err
	}
	name := d.Annotations[ocispec.AnnotationRefName]
	if err := checkRefName(name); err != nil {
		return err
	}
	if names[name] {
		return fmt.Errorf("name %q twice", name)
	}
	names[name] = true
	if other, found := d.Annotations[annotationContainerd]; found && other != name {
		return fmt.Errorf("%s is %q, but the name is %q", annotationContainerd, other, name)
	}
	return nil
}

// checkRefName leaves the grammar of references to the caller, and refuses
// what could fool a terminal or a log.
func checkRefName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("annotation %s is missing", ocispec.AnnotationRefName)
	case len(name) > maxNameSize:
		return fmt.Errorf("name of %d bytes", len(name))
	case !utf8.ValidString(name):
		return fmt.Errorf("name %q is not UTF-8", name)
	}
	for _, r := range name {
		if r == ' ' || !unicode.IsPrint(r) {
			return fmt.Errorf("name %q has a character that cannot be printed", name)
		}
	}
	return nil
}

// checkDescriptor checks what holds for every descriptor but those of layers.
func checkDescriptor(d ocispec.Descriptor) error {
	if len(d.URLs) > 0 {
		return fmt.Errorf("%s is to be fetched from foreign urls", d.Digest)
	}
	return checkContent(d)
}

// checkContent checks what holds for every descriptor (image-spec 1.1, "Content
// Descriptors").
func checkContent(d ocispec.Descriptor) error {
	switch {
	case d.MediaType == "":
		return fmt.Errorf("descriptor %q without media type", d.Digest)
	case !strings.HasPrefix(d.Digest.String(), "sha256:"):
		return fmt.Errorf("digest %q is not sha256", d.Digest)
	case d.Digest.Validate() != nil:
		return fmt.Errorf("%q is not a digest", d.Digest)
	case d.Size < 0:
		return fmt.Errorf("%s has the negative size %d", d.Digest, d.Size)
	case d.Data != nil && (int64(len(d.Data)) != d.Size || digest.FromBytes(d.Data) != d.Digest):
		return fmt.Errorf("inline data of %s has another digest or size", d.Digest)
	}
	return nil
}

func checkManifestDescriptor(d ocispec.Descriptor) error {
	if err := checkDescriptor(d); err != nil {
		return err
	}
	if !IsManifest(d.MediaType) {
		return fmt.Errorf("%s: %w", d.Digest, unknownType(d.MediaType))
	}
	if d.Size > MaxManifestSize {
		return fmt.Errorf("manifest %s of %d bytes, more than the %d allowed", d.Digest, d.Size, MaxManifestSize)
	}
	return nil
}
