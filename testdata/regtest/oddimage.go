package regtest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Media types that not everybody takes.
const (
	ForeignLayer     = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
	NonDistributable = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
	Schema1          = "application/vnd.docker.distribution.manifest.v1+prettyjws"
)

// An OddLayer is a layer of a type, or with URLs, as some publishers have it.
type OddLayer struct {
	MediaType string // empty: that of a plain layer
	URLs      []string
	Content   string
	Absent    bool // the registry does not have it
}

// PushOdd pushes an image of odd layers, by tag or, as "repository", by digest.
// A registry of [Start] takes no URLs; [StartReferrers] does.
func (r *Registry) PushOdd(ctx context.Context, ref, platform string, layers ...OddLayer) (ocispec.Descriptor, error) {
	repo, tag := splitRef(ref)
	p := ParsePlatform(platform)
	config, err := json.Marshal(ocispec.Image{Platform: p, RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{}}})
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("regtest: %w", err)
	}
	cb := dataBlob(ocispec.MediaTypeImageConfig, config)
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: cb.desc, Layers: []ocispec.Descriptor{},
	}
	blobs := []blob{cb}
	for _, l := range layers {
		if l.MediaType == "" {
			l.MediaType = ocispec.MediaTypeImageLayerGzip
		}
		b := dataBlob(l.MediaType, []byte(l.Content))
		b.desc.URLs = l.URLs
		m.Layers = append(m.Layers, b.desc)
		if !l.Absent {
			blobs = append(blobs, b)
		}
	}
	desc, err := r.pushAll(ctx, repo, tag, m, blobs)
	desc.Platform = &p
	return desc, err
}

// PushList pushes an index of children that are there already, or not.
func (r *Registry) PushList(ctx context.Context, ref string, children ...ocispec.Descriptor) (ocispec.Descriptor, error) {
	raw, err := json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: children,
	})
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("regtest: %w", err)
	}
	return r.PushRaw(ctx, ref, ocispec.MediaTypeImageIndex, raw)
}

// Lose takes a manifest away, as a clean-up does that looks at tags alone.
func (r *Registry) Lose(ctx context.Context, repo string, d digest.Digest) error {
	req, err := r.request(ctx, http.MethodDelete, repo, "manifests/"+d.String())
	if err != nil {
		return err
	}
	_, _, err = r.do(req, http.StatusAccepted)
	return err
}
