package layout

import (
	"encoding/json"
	"fmt"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Media types of Docker's image manifest version 2 (distribution,
// docs/spec/manifest-v2-2.md and manifest-v2-1.md).
const (
	MediaTypeDockerManifest     = "application/vnd.docker.distribution.manifest.v2+json"
	MediaTypeDockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json"

	dockerSchema1        = "application/vnd.docker.distribution.manifest.v1+json"
	dockerSchema1Signed  = "application/vnd.docker.distribution.manifest.v1+prettyjws"
	dockerForeignPrefix  = "application/vnd.docker.image.rootfs.foreign."
	nonDistributedPrefix = "application/vnd.oci.image.layer.nondistributable."
)

// Elsewhere reports whether a layer may lie somewhere else than in the registry
// of its manifest: it has urls, or a type that says that it is not to be
// distributed. In a bundle it lies like any other, and its urls are data.
func Elsewhere(layer ocispec.Descriptor) bool {
	return len(layer.URLs) > 0 || strings.HasPrefix(layer.MediaType, dockerForeignPrefix) ||
		strings.HasPrefix(layer.MediaType, nonDistributedPrefix)
}

// IsIndex reports whether a media type is that of an index: a document that
// names manifests.
func IsIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == MediaTypeDockerManifestList
}

// IsManifest reports whether a media type is that of a document that
// [Children] understands: an image manifest or an index.
func IsManifest(mediaType string) bool {
	return IsIndex(mediaType) || mediaType == ocispec.MediaTypeImageManifest || mediaType == MediaTypeDockerManifest
}

// document is what Children needs of a manifest or an index.
type document struct {
	SchemaVersion int                  `json:"schemaVersion"`
	MediaType     string               `json:"mediaType"`
	Config        *ocispec.Descriptor  `json:"config"`
	Layers        []ocispec.Descriptor `json:"layers"`
	Manifests     []ocispec.Descriptor `json:"manifests"`
	Subject       *ocispec.Descriptor  `json:"subject"`
	FSLayers      json.RawMessage      `json:"fsLayers"`
}

// Children returns the descriptors that a manifest or index names and that it
// cannot be stored without, in its order: the config and the layers, or the
// manifests. A subject is none of them. mediaType is that of the descriptor
// the document was found by. Whatever this format cannot carry is refused with
// a [*ContentError]: schema 1, unknown kinds, manifests that lie elsewhere,
// digests other than sha256, documents that two parsers could read in two
// ways. A layer that is said to lie elsewhere (see [Elsewhere]) is one like any
// other.
func Children(mediaType string, manifest []byte) ([]ocispec.Descriptor, error) {
	children, err := children(mediaType, manifest)
	if err != nil {
		return nil, contentErrorf("manifest", "%w", err)
	}
	return children, nil
}

// Listed returns what an index names, in its order, without judging it: who
// chooses among its manifests is not to be held up by those that stay behind.
// What is taken has to be judged by [Children] of an index that names it alone.
func Listed(mediaType string, index []byte) ([]ocispec.Descriptor, error) {
	doc, err := parseDocument(mediaType, index)
	if err != nil {
		return nil, contentErrorf("manifest", "%w", err)
	}
	return doc.Manifests, nil
}

// parseDocument reads a manifest or an index without looking at what it names.
func parseDocument(mediaType string, manifest []byte) (doc document, err error) {
	if !IsManifest(mediaType) {
		return doc, unknownType(mediaType)
	}
	if err := manifestRules.Decode(manifest, &doc); err != nil {
		return doc, err
	}
	return doc, checkDocument(mediaType, doc)
}

func children(mediaType string, manifest []byte) ([]ocispec.Descriptor, error) {
	doc, err := parseDocument(mediaType, manifest)
	if err != nil {
		return nil, err
	}
	if IsIndex(mediaType) {
		for _, d := range doc.Manifests {
			if err := checkManifestDescriptor(d); err != nil {
				return nil, err
			}
		}
		return doc.Manifests, nil
	}
	if err := checkConfig(*doc.Config); err != nil {
		return nil, err
	}
	for _, d := range doc.Layers {
		if err := checkLayer(d); err != nil {
			return nil, err
		}
	}
	return append([]ocispec.Descriptor{*doc.Config}, doc.Layers...), nil
}

func unknownType(mediaType string) error {
	switch mediaType {
	case dockerSchema1, dockerSchema1Signed:
		return fmt.Errorf("docker image manifest schema 1 is obsolete and not supported: push the image again with a current tool")
	case "":
		return fmt.Errorf("no media type")
	}
	return fmt.Errorf("media type %q is not a manifest or an index", mediaType)
}

// checkDocument refuses what could be read as another kind of document than
// its media type says (CVE-2021-41190).
func checkDocument(mediaType string, doc document) error {
	dockerType := mediaType == MediaTypeDockerManifest || mediaType == MediaTypeDockerManifestList
	switch {
	case doc.SchemaVersion == 1 || doc.FSLayers != nil:
		return unknownType(dockerSchema1)
	case doc.SchemaVersion != 2:
		return fmt.Errorf("schemaVersion is %d, not 2", doc.SchemaVersion)
	case doc.MediaType != mediaType && (doc.MediaType != "" || dockerType):
		return fmt.Errorf("calls itself %q, its descriptor says %s", doc.MediaType, mediaType)
	case IsIndex(mediaType) && (doc.Config != nil || doc.Layers != nil):
		return fmt.Errorf("index with a config or layers")
	case !IsIndex(mediaType) && doc.Manifests != nil:
		return fmt.Errorf("image manifest that lists manifests")
	case !IsIndex(mediaType) && doc.Config == nil:
		return fmt.Errorf("image manifest without config")
	case doc.Subject != nil:
		if err := checkDescriptor(*doc.Subject); err != nil {
			return fmt.Errorf("subject: %w", err)
		}
	}
	return nil
}

func checkConfig(d ocispec.Descriptor) error {
	if err := checkDescriptor(d); err != nil {
		return err
	}
	if Elsewhere(d) {
		return fmt.Errorf("config %s may not be distributed (%s)", d.Digest, d.MediaType)
	}
	return checkBlobType(d)
}

// checkLayer lets pass what is said to lie elsewhere: it lies in the bundle, under
// its digest, or the bundle lacks it and is refused for that.
func checkLayer(d ocispec.Descriptor) error {
	if err := checkContent(d); err != nil {
		return err
	}
	return checkBlobType(d)
}

func checkBlobType(d ocispec.Descriptor) error {
	if IsManifest(d.MediaType) || d.MediaType == dockerSchema1 || d.MediaType == dockerSchema1Signed {
		return fmt.Errorf("config or layer %s has the media type of a manifest (%s)", d.Digest, d.MediaType)
	}
	return nil
}
