package imagefile

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/layout"
)

// Limits of what docker save writes.
const (
	maxConfig = 8 << 20
	maxLayers = 10_000 // of all images
)

// saved is an entry of manifest.json (moby, image/tarexport).
type saved struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// dockerImages lists the images of a docker save, one for each of their names.
func dockerImages(ctx context.Context, t *tarFile) ([]*Image, error) {
	b, err := readSmall(t, "manifest.json", layout.MaxManifestSize)
	if err != nil {
		return nil, err
	}
	var list []saved
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, fmt.Errorf("manifest.json: %w", err)
	}
	d := docker{t, make(map[string]ocispec.Descriptor)}
	layers := 0
	var all []*Image
	for _, s := range list {
		if layers += len(s.Layers); layers > maxLayers {
			return nil, fmt.Errorf("more than %d layers", maxLayers)
		}
		im, err := d.image(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", strings.Join(append(s.RepoTags, s.Config)[:1], ""), err)
		}
		if len(s.RepoTags) == 0 {
			all = append(all, im)
		}
		for _, name := range s.RepoTags {
			named := *im
			named.Name = name
			all = append(all, &named)
		}
	}
	return all, nil
}

// docker makes manifests for images that have none.
type docker struct {
	files  *tarFile
	layers map[string]ocispec.Descriptor // by name
}

func (d docker) image(ctx context.Context, s saved) (*Image, error) {
	config, err := readSmall(d.files, s.Config, maxConfig)
	if err != nil {
		return nil, err
	}
	var c struct{ RootFS ocispec.RootFS }
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, fmt.Errorf("config %s: %w", s.Config, err)
	}
	if len(c.RootFS.DiffIDs) != len(s.Layers) {
		return nil, fmt.Errorf("%d layers, its config says %d", len(s.Layers), len(c.RootFS.DiffIDs))
	}
	im := &Image{files: d.files, names: make(map[digest.Digest]string), made: make(map[digest.Digest][]byte)}
	put := func(mediaType string, b []byte) ocispec.Descriptor {
		desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
		im.made[desc.Digest] = b
		return desc
	}
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: put(ocispec.MediaTypeImageConfig, config), Layers: []ocispec.Descriptor{},
	}
	for i, name := range s.Layers {
		layer, err := d.layer(ctx, name, c.RootFS.DiffIDs[i])
		if err != nil {
			return nil, fmt.Errorf("layer %s: %w", name, err)
		}
		im.names[layer.Digest] = name
		m.Layers = append(m.Layers, layer)
	}
	if im.manifest, err = json.Marshal(m); err != nil {
		return nil, err
	}
	im.root = put(m.MediaType, im.manifest)
	return im, nil
}

// hexName is the digest in the name of a file in an OCI layout, which newer
// versions of docker save write as well.
var hexName = regexp.MustCompile(`^blobs/sha256/([0-9a-f]{64})$`)

// layer describes a layer as it lies there. One that is not compressed has the
// digest that the config names; of any other, the name may tell it, or else it is
// read.
func (d docker) layer(ctx context.Context, name string, diffID digest.Digest) (ocispec.Descriptor, error) {
	if known, ok := d.layers[name]; ok {
		return known, nil
	}
	b, err := d.files.open(name)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	head := make([]byte, 4)
	if _, err := b.ReadAt(head, 0); err != nil && err != io.EOF {
		return ocispec.Descriptor{}, err
	}
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: diffID, Size: b.Size()}
	switch {
	case strings.HasPrefix(string(head), "\x1f\x8b"):
		desc.MediaType = ocispec.MediaTypeImageLayerGzip
	case string(head) == "\x28\xb5\x2f\xfd":
		desc.MediaType = ocispec.MediaTypeImageLayerZstd
	}
	if desc.MediaType != ocispec.MediaTypeImageLayer {
		if m := hexName.FindStringSubmatch(name); m != nil {
			desc.Digest = digest.NewDigestFromEncoded(digest.SHA256, m[1])
		} else if desc.Digest, err = hash(ctx, b); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	if desc.Digest.Validate() != nil || desc.Digest.Algorithm() != digest.SHA256 {
		return ocispec.Descriptor{}, fmt.Errorf("digest %q: only sha256 can be bundled", desc.Digest)
	}
	d.layers[name] = desc
	return desc, nil
}

// hash reads a file to its end.
func hash(ctx context.Context, b blob) (digest.Digest, error) {
	h := digest.SHA256.Digester()
	r := io.NewSectionReader(b, 0, b.Size())
	const piece = 8 << 20
	for {
		n, err := io.CopyN(h.Hash(), r, piece)
		if err == nil {
			err = ctx.Err()
		}
		if err == io.EOF {
			return h.Digest(), nil
		}
		if err != nil {
			return "", fmt.Errorf("after %d bytes: %w", n, err)
		}
	}
}
