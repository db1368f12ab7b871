// Package plan lays out a bundle: what stands in it, in which order, with which
// list of checksums, before the first layer moves.
//
// The contract: it is pure; the same images and charts give the same bytes; what
// a reader would refuse is refused here.
//
//	p, err := plan.New(rec, images, charts)
//	fmt.Println(p.Payload(), "bytes to fetch")
package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/image"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/source"
	"bundle/checksum"
	"bundle/layout"
)

// A Plan is everything about a bundle but the bytes of its layers: made by
// pure functions from what was resolved, printed by a dry run, carried out by
// the writer.
type Plan struct {
	Record  *record.Record
	index   []byte                        // index.json
	known   image.Tree                    // blobs whose bytes are here already
	Fetch   []ocispec.Descriptor          // the others, in the order they stand in the bundle
	Configs int                           // how many of them are configs: those come first
	From    map[digest.Digest]string      // repository that has each of fetch, but for those in files
	Local   map[digest.Digest]image.Files // what has those that lie in files
	Needs   map[string][]digest.Digest    // image name → those of fetch it needs
	Created time.Time
	Sources []chart.Fetched // charts that came over the network, dependencies too
}

// Times say from when to when a bundle is.
type Times struct {
	Begun    func(id string) time.Time // asked where the record has no time of creation
	ValidFor time.Duration             // from then on; 0: for ever
}

// New lays out images and charts. rec must have everything but its images,
// charts and id, and what Times say. Layers that bases have stay out.
func New(rec *record.Record, images []*image.Image, charts []*source.Chart, t Times, bases ...Base) (*Plan, error) {
	p := &Plan{
		Record: rec,
		known:  make(image.Tree),
		From:   make(map[digest.Digest]string),
		Local:  make(map[digest.Digest]image.Files),
		Needs:  make(map[string][]digest.Digest),
	}
	if len(charts) > record.MaxCharts {
		return nil, &fault.UsageError{What: fmt.Sprintf("%d charts, more than the %d that one bundle can hold", len(charts), record.MaxCharts)}
	}
	var index []ocispec.Descriptor
	images = mergeEqual(images)
	p.known.Put(ocispec.MediaTypeEmptyJSON, ocispec.DescriptorEmptyJSON.Data) // the record's config, and that of many artifacts
	for _, im := range images {
		index = append(index, name.Entry(im.Root, im.Name()))
		p.learn(im.Content)
	}
	index, err := p.addCharts(charts, index)
	if err != nil {
		return nil, err
	}
	if err := p.order(images); err != nil {
		return nil, err
	}
	if err := p.leaveOut(bases); err != nil {
		return nil, err
	}
	if rec.ID, err = contentID(index, rec); err != nil {
		return nil, err
	}
	if rec.Created.IsZero() {
		rec.Created = t.Begun(rec.ID)
	}
	if t.ValidFor > 0 {
		rec.Expires = rec.Created.Add(t.ValidFor).Truncate(time.Second)
	}
	p.Created = rec.Created
	return p, p.finish(index)
}

// finish adds the record, and writes the index.
func (p *Plan) finish(index []ocispec.Descriptor) error {
	record, err := p.addRecord()
	if err != nil {
		return err
	}
	index = append(index, record)
	// The same digest under two sizes, in two images, is somebody's lie.
	if _, err := layout.Reachable(index, p.known.Fetch); err != nil {
		return err
	}
	p.index, err = json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: index,
	})
	if err != nil {
		return fmt.Errorf("encode index.json: %w", err)
	}
	// What a reader would refuse is not written.
	_, err = layout.ParseIndex(p.index)
	return err
}

// addCharts adds charts to the record and the index. One that is named twice
// stands in the index once.
func (p *Plan) addCharts(charts []*source.Chart, index []ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	names := make(map[string]digest.Digest)
	for _, d := range index {
		names[name.Of(d)] = d.Digest
	}
	for _, c := range charts {
		p.Record.Charts = append(p.Record.Charts, c.Record)
		p.Sources = append(p.Sources, c.Fetched...)
		p.learn(c.Content)
		switch twin, known := names[c.Record.Reference]; {
		case !known:
			names[c.Record.Reference] = c.Root.Digest
			index = append(index, name.Entry(c.Root, c.Record.Reference))
		case twin != c.Root.Digest:
			return nil, &fault.UsageError{
				What:   fmt.Sprintf("two charts are both %s %s, and differ; the second is %s", c.Record.Name, c.Record.Version, c.Record.Source),
				Advice: "give one of them another version, or export them apart",
			}
		}
	}
	return index, nil
}

// mergeEqual joins images that have one name and content: a platform choice
// can turn an index into one that was asked for as well.
func mergeEqual(images []*image.Image) []*image.Image {
	var kept []*image.Image
	byName := make(map[string]*image.Image)
	for _, im := range images {
		if twin := byName[im.Name()]; twin != nil && twin.Root.Digest == im.Root.Digest {
			twin.Found = append(twin.Found, im.Found...)
			continue
		}
		byName[im.Name()] = im
		kept = append(kept, im)
	}
	return kept
}

func (p *Plan) learn(t image.Tree) {
	for d, b := range t {
		p.known[d] = b
	}
}

// addRecord packs the record as an artifact (OCI image spec, "Guidelines for
// Artifact Usage").
func (p *Plan) addRecord() (ocispec.Descriptor, error) {
	b, err := p.Record.Encode()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	d, err := p.known.PutJSON(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: record.Type,
		Config:       p.known.Put(ocispec.MediaTypeEmptyJSON, ocispec.DescriptorEmptyJSON.Data),
		Layers:       []ocispec.Descriptor{p.known.Put(record.Type, b)},
	})
	d.ArtifactType = record.Type
	return name.Entry(d, record.EntryName(p.Record)), err
}

// order decides where every blob stands: configs first, then layers, image by
// image, each once. It adds the images to the record.
func (p *Plan) order(images []*image.Image) error {
	configs := make(map[digest.Digest]bool)
	var layers []ocispec.Descriptor
	seen := make(map[digest.Digest]digest.Digest) // to itself: the text of each is kept once
	for _, im := range images {
		size := int64(0)
		needs := make([]digest.Digest, 0, 16)
		all, err := layout.Reachable([]ocispec.Descriptor{im.Root}, p.known.Fetch)
		if err != nil {
			return fmt.Errorf("%s: %w", im.Ref, err)
		}
		for _, d := range all {
			size += d.Size
			if err := p.markConfig(d, configs); err != nil {
				return fmt.Errorf("%s: %w", im.Ref, err)
			}
			if p.known[d.Digest] != nil {
				continue
			}
			known, ok := seen[d.Digest]
			if !ok {
				known = d.Digest
				seen[known] = known
				layers = append(layers, d)
			}
			p.comesFrom(known, im)
			needs = append(needs, known)
		}
		p.Needs[im.Name()] = append(p.Needs[im.Name()], needs...)
		if im.Subject == "" {
			p.Record.Images = append(p.Record.Images, im.Record(size))
		} else {
			p.Record.Referrers = append(p.Record.Referrers, im.Record(size))
		}
	}
	for _, d := range layers {
		if configs[d.Digest] {
			p.Fetch = append(p.Fetch, d)
		}
	}
	p.Configs = len(p.Fetch)
	for _, d := range layers {
		if !configs[d.Digest] {
			p.Fetch = append(p.Fetch, d)
		}
	}
	return nil
}

// comesFrom notes the first image that has a blob where it is.
func (p *Plan) comesFrom(d digest.Digest, im *image.Image) {
	if p.Local[d] != nil || p.From[d] != "" || im.Unserved(d) {
		return
	}
	if im.Files != nil {
		p.Local[d] = im.Files
		return
	}
	p.From[d] = im.Ref.Repository()
}

func (p *Plan) markConfig(d ocispec.Descriptor, configs map[digest.Digest]bool) error {
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

// Sums is the checksum manifest: it covers every entry but itself and its
// signature, and needs no offset, so it can be signed before anything moves.
func (p *Plan) Sums() ([]byte, error) {
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
	for _, d := range p.Fetch {
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

// Files is the bundle entry by entry. sig is empty for an unsigned one.
func (p *Plan) Files(sums, sig []byte) []layout.File {
	files := []layout.File{
		known(layout.LayoutFile, layout.LayoutContent()),
		known(layout.SumsFile, sums),
	}
	if len(sig) > 0 {
		files = append(files, known(layout.SignatureFile, sig))
	}
	files = append(files, known(layout.IndexFile, p.index))
	for _, d := range slices.Sorted(maps.Keys(p.known)) {
		files = append(files, known(layout.BlobName(d), p.known[d]))
	}
	for _, d := range p.Fetch {
		files = append(files, layout.File{Name: layout.BlobName(d.Digest), Size: d.Size})
	}
	return files
}

func known(name string, b []byte) layout.File {
	return layout.File{Name: name, Size: int64(len(b)), Data: b}
}

// Payload is the number of bytes that have to be fetched.
func (p *Plan) Payload() int64 {
	var n int64
	for _, d := range p.Fetch {
		n += d.Size
	}
	return n
}

// contentID names what a bundle brings: the first 16 hex digits of the SHA-256 over
// the names and digests of images and charts, what each chart is rendered with, and
// what a delta leaves out.
func contentID(index []ocispec.Descriptor, rec *record.Record) (string, error) {
	h := sha256.New()
	for _, d := range index {
		fmt.Fprintf(h, "%s %s\n", d.Digest, name.Of(d))
	}
	for _, c := range rec.Charts {
		c.Source = "" // the same chart from elsewhere is the same
		b, err := json.Marshal(c)
		if err != nil {
			return "", fmt.Errorf("chart %s: %w", c.Label(), err)
		}
		fmt.Fprintf(h, "%s\n", b)
	}
	if rec.Requires != nil {
		b, err := json.Marshal(rec.Requires)
		if err != nil {
			return "", fmt.Errorf("required layers: %w", err)
		}
		fmt.Fprintf(h, "requires %s\n", b)
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}
