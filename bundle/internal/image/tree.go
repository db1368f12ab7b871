package image

import (
	"encoding/json"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/layout"
)

// Put makes b known and returns its descriptor.
func (t Tree) Put(mediaType string, b []byte) ocispec.Descriptor {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
	t[d.Digest] = b
	return d
}

// PutJSON is put for a document of ours.
func (t Tree) PutJSON(mediaType string, v any) (ocispec.Descriptor, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("encode %s: %w", mediaType, err)
	}
	return t.Put(mediaType, b), nil
}

// A Tree is one image's manifests and indexes by digest, with the small
// configs that had to be read to learn a platform.
type Tree map[digest.Digest][]byte

// Platforms lists what root offers, in the order of its index.
func (t Tree) Platforms(root ocispec.Descriptor) []Platform {
	if !layout.IsIndex(root.MediaType) {
		p, ok := t.configPlatform(root)
		if !ok {
			return nil
		}
		return []Platform{p}
	}
	return t.indexPlatforms(root.Digest, make(map[digest.Digest]bool))
}

// indexPlatforms looks at each index once: those that share what they name
// would multiply with every level.
func (t Tree) indexPlatforms(index digest.Digest, seen map[digest.Digest]bool) []Platform {
	var ix ocispec.Index
	if seen[index] || json.Unmarshal(t[index], &ix) != nil {
		return nil
	}
	seen[index] = true
	var all []Platform
	for _, m := range ix.Manifests {
		if layout.IsIndex(m.MediaType) {
			all = append(all, t.indexPlatforms(m.Digest, seen)...)
		} else if p, ok := platformOf(m.Platform); ok {
			all = append(all, p)
		}
	}
	return all
}

// configPlatform reads the platform of a single manifest from its config.
func (t Tree) configPlatform(d ocispec.Descriptor) (Platform, bool) {
	var m ocispec.Manifest
	if json.Unmarshal(t[d.Digest], &m) != nil {
		return Platform{}, false
	}
	var p ocispec.Platform
	if json.Unmarshal(t[m.Config.Digest], &p) != nil {
		return Platform{}, false
	}
	return platformOf(&p)
}

func (t Tree) Fetch(d ocispec.Descriptor) ([]byte, error) {
	b, ok := t[d.Digest]
	if !ok {
		return nil, fmt.Errorf("%s %s is missing", d.MediaType, d.Digest)
	}
	return b, nil
}
