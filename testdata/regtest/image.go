package regtest

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Docker's media types of image manifest version 2, schema 2.
const (
	DockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	DockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
	DockerConfig   = "application/vnd.docker.container.image.v1+json"
	DockerLayer    = "application/vnd.docker.image.rootfs.diff.tar.gzip"
)

// Epoch is the creation time of everything made here.
var Epoch = time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)

// Layer is a gzip-compressed tar with one file. Equal layers have equal bytes,
// on every machine.
type Layer struct {
	Size         int64 // of the file inside, in bytes; may be many gigabytes
	Seed         int64 // equal seeds give equal content
	Compressible bool  // compresses to about half; otherwise not at all
}

// Image describes an image for one platform.
type Image struct {
	Layers      []Layer
	Platform    string // "os/arch[/variant]"; empty: linux/amd64
	Entrypoint  []string
	Labels      map[string]string
	Annotations map[string]string
	Docker      bool // Docker's media types instead of OCI's
}

// Index describes an image for several platforms.
type Index struct {
	Images      []Image
	Annotations map[string]string
	Docker      bool // Docker's media types for the list and every image

	// Attestation adds, for the first image, the unknown/unknown child that
	// BuildKit makes.
	Attestation bool
}

type layerInfo struct {
	once   sync.Once
	desc   ocispec.Descriptor // media type left empty
	diffID digest.Digest
	data   []byte // of a small layer
	err    error
}

// smallLayer is up to which size layers are kept, and not made again for each use.
const smallLayer = 256 << 10

var layerInfos sync.Map // Layer → *layerInfo

// info returns what is known of the layer; the first call for a layer generates it once.
func (l Layer) info() *layerInfo {
	v, _ := layerInfos.LoadOrStore(l, &layerInfo{})
	info := v.(*layerInfo)
	info.once.Do(func() {
		blob, diff := digest.SHA256.Digester(), digest.SHA256.Digester()
		var n counter
		to := io.MultiWriter(blob.Hash(), &n)
		var kept bytes.Buffer
		if l.Size <= smallLayer {
			to = io.MultiWriter(to, &kept)
		}
		info.err = l.write(to, diff.Hash())
		info.data = kept.Bytes()
		info.desc = ocispec.Descriptor{Digest: blob.Digest(), Size: int64(n)}
		info.diffID = diff.Digest()
	})
	return info
}

// Open streams the layer's compressed bytes.
func (l Layer) Open() io.ReadCloser {
	if l.Size <= smallLayer {
		if info := l.info(); info.err == nil {
			return io.NopCloser(bytes.NewReader(info.data))
		}
	}
	pr, pw := io.Pipe()
	go func() { pw.CloseWithError(l.write(pw, io.Discard)) }()
	return pr
}

// write generates the layer: compressed bytes to blob, the tar itself to diff.
func (l Layer) write(blob, diff io.Writer) error {
	level := gzip.NoCompression
	if l.Compressible {
		level = gzip.BestSpeed
	}
	// A pinned compressor: the standard library's output changes between releases.
	zw, err := gzip.NewWriterLevel(blob, level)
	if err != nil {
		return err
	}
	tw := tar.NewWriter(io.MultiWriter(zw, diff))
	err = tw.WriteHeader(&tar.Header{
		Name: fmt.Sprintf("data/%d-%d", l.Seed, l.Size), Size: l.Size, Mode: 0o644, ModTime: Epoch,
	})
	if err != nil {
		return err
	}
	var seed [32]byte
	copy(seed[:], fmt.Sprintf("regtest %d", l.Seed))
	random := rand.NewChaCha8(seed)
	block := make([]byte, min(l.Size, 256<<10))
	for left := l.Size; left > 0; {
		b := block[:min(left, int64(len(block)))]
		_, _ = random.Read(b) // never fails
		if l.Compressible {
			for i := 0; i < len(b); i += 4096 {
				page := b[i:min(i+4096, len(b))]
				clear(page[len(page)/2:])
			}
		}
		if _, err := tw.Write(b); err != nil {
			return err
		}
		left -= int64(len(b))
	}
	if err := tw.Close(); err != nil {
		return err
	}
	return zw.Close()
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// ParsePlatform reads "os/arch[/variant]"; empty means linux/amd64.
func ParsePlatform(s string) ocispec.Platform {
	if s == "" {
		s = "linux/amd64"
	}
	part := strings.SplitN(s, "/", 3)
	part = append(part, "", "")
	return ocispec.Platform{OS: part[0], Architecture: part[1], Variant: part[2]}
}

// blob is content with its descriptor, ready to be pushed.
type blob struct {
	desc ocispec.Descriptor
	open func() io.ReadCloser
}

func dataBlob(mediaType string, data []byte) blob {
	return blob{
		desc: ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))},
		open: func() io.ReadCloser { return io.NopCloser(bytes.NewReader(data)) },
	}
}

// build makes the blobs and the manifest of an image.
func (img Image) build() (blobs []blob, manifest blob, err error) {
	manifestType, configType, layerType := ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageConfig, ocispec.MediaTypeImageLayerGzip
	if img.Docker {
		manifestType, configType, layerType = DockerManifest, DockerConfig, DockerLayer
	}
	created := Epoch
	config := ocispec.Image{
		Created:  &created,
		Platform: ParsePlatform(img.Platform),
		Config:   ocispec.ImageConfig{Entrypoint: img.Entrypoint, Labels: img.Labels},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{}},
	}
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: manifestType,
		Layers: []ocispec.Descriptor{}, Annotations: img.Annotations,
	}
	for _, l := range img.Layers {
		info := l.info()
		if info.err != nil {
			return nil, blob{}, fmt.Errorf("regtest: layer: %w", info.err)
		}
		desc := info.desc
		desc.MediaType = layerType
		m.Layers = append(m.Layers, desc)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, info.diffID)
		blobs = append(blobs, blob{desc: desc, open: l.Open})
	}
	raw, err := json.Marshal(config)
	if err != nil {
		return nil, blob{}, fmt.Errorf("regtest: image config: %w", err)
	}
	cb := dataBlob(configType, raw)
	m.Config = cb.desc
	raw, err = json.Marshal(m)
	if err != nil {
		return nil, blob{}, fmt.Errorf("regtest: image manifest: %w", err)
	}
	manifest = dataBlob(manifestType, raw)
	return append(blobs, cb), manifest, nil
}

// PushImage pushes an image as "repository:tag" and returns its descriptor.
func (r *Registry) PushImage(ctx context.Context, ref string, img Image) (ocispec.Descriptor, error) {
	repo, tag := splitRef(ref)
	return r.pushImage(ctx, repo, tag, img)
}

// pushImage pushes an image by tag, or by digest when tag is empty.
func (r *Registry) pushImage(ctx context.Context, repo, tag string, img Image) (ocispec.Descriptor, error) {
	blobs, manifest, err := img.build()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	for _, b := range blobs {
		if err := r.pushBlob(ctx, repo, b); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	if err := r.pushManifest(ctx, repo, tag, manifest); err != nil {
		return ocispec.Descriptor{}, err
	}
	platform := ParsePlatform(img.Platform)
	manifest.desc.Platform = &platform
	return manifest.desc, nil
}

// PushIndex pushes a multi-platform image as "repository:tag" and returns the
// descriptor of its index.
func (r *Registry) PushIndex(ctx context.Context, ref string, idx Index) (ocispec.Descriptor, error) {
	repo, tag := splitRef(ref)
	index := ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{}, Annotations: idx.Annotations,
	}
	if idx.Docker {
		index.MediaType = DockerIndex
	}
	for _, img := range idx.Images {
		img.Docker = idx.Docker
		desc, err := r.pushImage(ctx, repo, "", img)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		index.Manifests = append(index.Manifests, desc)
	}
	if idx.Attestation && len(index.Manifests) > 0 {
		desc, err := r.pushAttestation(ctx, repo, index.Manifests[0])
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		index.Manifests = append(index.Manifests, desc)
	}
	raw, err := json.Marshal(index)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("regtest: index: %w", err)
	}
	b := dataBlob(index.MediaType, raw)
	return b.desc, r.pushManifest(ctx, repo, tag, b)
}

// pushAttestation pushes an attestation manifest as BuildKit shapes it:
// https://docs.docker.com/build/metadata/attestations/attestation-storage/
func (r *Registry) pushAttestation(ctx context.Context, repo string, subject ocispec.Descriptor) (ocispec.Descriptor, error) {
	statement := fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v0.1","subject":[{"digest":{"sha256":%q}}]}`, subject.Digest.Encoded())
	desc, err := r.pushArtifact(ctx, repo, "", Artifact{
		ConfigMediaType: ocispec.MediaTypeImageConfig,
		Config:          []byte(`{"architecture":"unknown","os":"unknown","config":{},"rootfs":{"type":"layers","diff_ids":[]}}`),
		Blobs:           []ArtifactBlob{{MediaType: "application/vnd.in-toto+json", Data: []byte(statement)}},
	})
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	desc.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
	desc.Annotations = map[string]string{
		"vnd.docker.reference.type":   "attestation-manifest",
		"vnd.docker.reference.digest": subject.Digest.String(),
	}
	return desc, nil
}
