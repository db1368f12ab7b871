package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/checksum"
	"bundle/layout"
)

// annotationContainerd is the name under which containerd registers an image
// from an archive.
const annotationContainerd = "io.containerd.image.name"

// localHost is the host in the names of things that no registry has: charts
// from folders, the record. It can never resolve (RFC 2606).
const localHost = "bundle.invalid"

// A plan is everything about a bundle but the bytes of its layers: made by
// pure functions from what was resolved, printed by a dry run, carried out by
// the writer.
type plan struct {
	record  *Record
	index   []byte                          // index.json
	known   tree                            // blobs whose bytes are here already
	fetch   []ocispec.Descriptor            // the others, in the order they stand in the bundle
	from    map[digest.Digest]string        // repository that has each of fetch
	needs   map[string][]ocispec.Descriptor // image name → those of fetch it needs
	created time.Time
}

// planBundle lays out images and charts. rec must have everything but its
// images, charts and id.
func planBundle(rec *Record, images []*image, charts []*chartArtifact) (*plan, error) {
	p := &plan{
		record:  rec,
		known:   make(tree),
		from:    make(map[digest.Digest]string),
		needs:   make(map[string][]ocispec.Descriptor),
		created: rec.Created,
	}
	if len(charts) > maxCharts {
		return nil, &UsageError{What: fmt.Sprintf("%d charts, more than the %d that one bundle can hold", len(charts), maxCharts)}
	}
	var index []ocispec.Descriptor
	images = mergeEqual(images)
	for _, im := range images {
		ir, err := im.record()
		if err != nil {
			return nil, err
		}
		if im.subject == "" {
			rec.Images = append(rec.Images, ir)
		} else {
			rec.Referrers = append(rec.Referrers, ir)
		}
		index = append(index, named(im.root, im.name()))
		p.learn(im.content)
	}
	for _, c := range charts {
		rec.Charts = append(rec.Charts, c.record)
		p.learn(c.content)
		entry := named(c.root, c.record.Reference)
		switch twin := slices.IndexFunc(index, func(d ocispec.Descriptor) bool { return nameOf(d) == nameOf(entry) }); {
		case twin < 0:
			index = append(index, entry)
		case index[twin].Digest != entry.Digest:
			return nil, &UsageError{
				What:   fmt.Sprintf("two charts are both %s %s, and differ; the second is %s", c.record.Name, c.record.Version, c.record.Source),
				Advice: "give one of them another version, or export them apart",
			}
		}
	}
	rec.ID = contentID(index)
	record, err := p.addRecord()
	if err != nil {
		return nil, err
	}
	index = append(index, record)
	if err := p.order(images, index); err != nil {
		return nil, err
	}
	p.index, err = json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: index,
	})
	if err != nil {
		return nil, fmt.Errorf("encode index.json: %w", err)
	}
	// What a reader would refuse is not written.
	if _, err := layout.ParseIndex(p.index); err != nil {
		return nil, err
	}
	return p, nil
}

// mergeEqual joins images that have one name and content: a platform choice
// can turn an index into one that was asked for as well.
func mergeEqual(images []*image) []*image {
	var kept []*image
	byName := make(map[string]*image)
	for _, im := range images {
		if twin := byName[im.name()]; twin != nil && twin.root.Digest == im.root.Digest {
			twin.found = append(twin.found, im.found...)
			continue
		}
		byName[im.name()] = im
		kept = append(kept, im)
	}
	return kept
}

func (im *image) record() (ImageRecord, error) {
	size, err := im.size()
	if err != nil {
		return ImageRecord{}, err
	}
	r := ImageRecord{
		Reference: im.name(),
		Digest:    im.root.Digest,
		MediaType: im.root.MediaType,
		Size:      size,
		Found:     im.found,

		Subject:     im.subject,
		Destination: im.destination,
	}
	if im.source.Digest != im.root.Digest {
		r.SourceDigest = im.source.Digest
	}
	for _, p := range im.platforms {
		r.Platforms = append(r.Platforms, p.String())
	}
	return r, nil
}

func (p *plan) learn(t tree) {
	for d, b := range t {
		p.known[d] = b
	}
}

// put makes b known and returns its descriptor.
func (t tree) put(mediaType string, b []byte) ocispec.Descriptor {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
	t[d.Digest] = b
	return d
}

// putJSON is put for a document of ours.
func (t tree) putJSON(mediaType string, v any) (ocispec.Descriptor, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("encode %s: %w", mediaType, err)
	}
	return t.put(mediaType, b), nil
}

// addRecord packs the record as an artifact (OCI image spec, "Guidelines for
// Artifact Usage").
func (p *plan) addRecord() (ocispec.Descriptor, error) {
	b, err := p.record.Encode()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	d, err := p.known.putJSON(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: RecordType,
		Config:       p.known.put(ocispec.MediaTypeEmptyJSON, ocispec.DescriptorEmptyJSON.Data),
		Layers:       []ocispec.Descriptor{p.known.put(RecordType, b)},
	})
	d.ArtifactType = RecordType
	return named(d, recordName(p.record)), err
}

// order decides where every blob stands: configs first, then layers, image by
// image, each once.
func (p *plan) order(images []*image, index []ocispec.Descriptor) error {
	configs := make(map[digest.Digest]bool)
	var layers []ocispec.Descriptor
	seen := make(map[digest.Digest]bool)
	for _, im := range images {
		all, err := layout.Reachable([]ocispec.Descriptor{im.root}, p.known.fetch)
		if err != nil {
			return fmt.Errorf("%s: %w", im.ref, err)
		}
		for _, d := range all {
			if err := p.markConfig(d, configs); err != nil {
				return fmt.Errorf("%s: %w", im.ref, err)
			}
			if p.known[d.Digest] != nil {
				continue
			}
			p.needs[im.name()] = append(p.needs[im.name()], d)
			if !seen[d.Digest] {
				seen[d.Digest] = true
				p.from[d.Digest] = im.ref.Repository()
				layers = append(layers, d)
			}
		}
	}
	for _, d := range layers {
		if configs[d.Digest] {
			p.fetch = append(p.fetch, d)
		}
	}
	for _, d := range layers {
		if !configs[d.Digest] {
			p.fetch = append(p.fetch, d)
		}
	}
	// The same digest under two sizes, in two images, is somebody's lie.
	_, err := layout.Reachable(index, p.known.fetch)
	return err
}

func (p *plan) markConfig(d ocispec.Descriptor, configs map[digest.Digest]bool) error {
	if !layout.IsManifest(d.MediaType) || layout.IsIndex(d.MediaType) {
		return nil
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(p.known[d.Digest], &m); err != nil {
		return fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	configs[m.Config.Digest] = true
	return nil
}

// sums is the checksum manifest: it covers every entry but itself and its
// signature, and needs no offset, so it can be signed before anything moves.
func (p *plan) sums() ([]byte, error) {
	sum := func(name string, b []byte) checksum.Sum {
		return checksum.Sum{Name: name, Digest: sha256.Sum256(b)}
	}
	all := checksum.Sums{
		sum(layout.LayoutFile, layout.LayoutContent()),
		sum(layout.IndexFile, p.index),
	}
	for d := range p.known {
		all = append(all, blobSum(d))
	}
	for _, d := range p.fetch {
		all = append(all, blobSum(d.Digest))
	}
	if err := all.Validate(); err != nil {
		return nil, fmt.Errorf("list of checksums: %w", err)
	}
	return all.Format(), nil
}

func blobSum(d digest.Digest) checksum.Sum {
	s := checksum.Sum{Name: layout.BlobName(d)}
	hex.Decode(s.Digest[:], []byte(d.Encoded())) //nolint:errcheck // the digest was validated when parsed
	return s
}

// files is the bundle entry by entry. sig is empty for an unsigned one.
func (p *plan) files(sums, sig []byte) []layout.File {
	files := []layout.File{
		known(layout.LayoutFile, layout.LayoutContent()),
		known(layout.SumsFile, sums),
	}
	if len(sig) > 0 {
		files = append(files, known(layout.SignatureFile, sig))
	}
	files = append(files, known(layout.IndexFile, p.index))
	for _, d := range sortedKeys(p.known) {
		files = append(files, known(layout.BlobName(d), p.known[d]))
	}
	for _, d := range p.fetch {
		files = append(files, layout.File{Name: layout.BlobName(d.Digest), Size: d.Size})
	}
	return files
}

func known(name string, b []byte) layout.File {
	return layout.File{Name: name, Size: int64(len(b)), Data: b}
}

// payload is the number of bytes that have to be fetched.
func (p *plan) payload() int64 {
	var n int64
	for _, d := range p.fetch {
		n += d.Size
	}
	return n
}

// named returns d as index.json lists it: by full name only, without what the
// source said beside it.
func named(d ocispec.Descriptor, name string) ocispec.Descriptor {
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

func nameOf(d ocispec.Descriptor) string { return d.Annotations[ocispec.AnnotationRefName] }

// recordName is how index.json calls the record.
func recordName(r *Record) string { return localHost + "/record:" + r.ID }

// contentID names a set of images and charts: the first 16 hex digits of the
// SHA-256 over their names and digests.
func contentID(index []ocispec.Descriptor) string {
	h := sha256.New()
	for _, d := range index {
		fmt.Fprintf(h, "%s %s\n", d.Digest, nameOf(d))
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}
