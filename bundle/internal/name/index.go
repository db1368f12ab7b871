package name

import (
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// annotationContainerd is the name under which containerd registers an image
// from an archive.
const annotationContainerd = "io.containerd.image.name"

// LocalHost is the host in the names of things that no registry has: charts
// from folders, the record. It can never resolve (RFC 2606).
const LocalHost = "bundle.invalid"

// Entry returns d as index.json lists it: by full name only, without what the
// source said beside it.
func Entry(d ocispec.Descriptor, name string) ocispec.Descriptor {
	return ocispec.Descriptor{
		MediaType:    d.MediaType,
		ArtifactType: d.ArtifactType,
		Digest:       d.Digest,
		Size:         d.Size,
		Annotations: map[string]string{
			ocispec.AnnotationRefName: name,
			annotationContainerd:      name,
		},
	}
}

func Of(d ocispec.Descriptor) string { return d.Annotations[ocispec.AnnotationRefName] }
