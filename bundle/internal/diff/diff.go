// Package diff says what changes between two bundles: charts with the values given
// and the defaults, images, and what has to travel for it.
//
// The contract: it reads what every bundle has in its head, and no layer. Names come
// in their order, so that the same two bundles give the same report. What it says is
// what the bundles claim; who opens them decides whom to believe.
//
//	report, err := diff.Bundles(older, newer)
//	for _, im := range report.Images {
//		fmt.Println(im.State, im.Reference)
//	}
package diff

import (
	"cmp"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/name"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/words"
	"bundle/layout"
)

// A Report is what differs. What is the same is counted.
type Report struct {
	Charts     []Chart // sorted by name
	Images     []Image // sorted by reference
	SameCharts int
	SameImages int
	Referrers  Count // signatures, SBOMs and the like, by digest
	Weight     Weight
}

// A Count is how many there are of what is not listed.
type Count struct{ Added, Removed, Same int }

// A Chart is one that is added, removed or changed: in its version, its content, or
// what it is rendered with.
type Chart struct {
	Name  string
	State words.State // added, removed, changed

	Version, PreviousVersion       string // empty: it is not there
	AppVersion, PreviousAppVersion string
	Digest, PreviousDigest         digest.Digest
	Inputs                         []Value // release, namespace, kubeVersion
	Given                          []Value // values given at export
	Defaults                       []Value // the chart's own, and its dependencies'
	Short                          bool    // dependencies have too many defaults to be compared
}

// An Image is one that is added, removed, or has other content under its name.
type Image struct {
	Reference string
	State     words.State // added, removed, changed
	Instead   string      // of one that is added: the only one of its repository that is gone

	Digest, Previous   digest.Digest
	Size, PreviousSize int64 // bytes of all its blobs, manifests included
	Moves              int64 // bytes of its layers that the older bundle does not have
	Platforms          []string
}

// A Weight is what travels, in bytes of a file: all of the newer bundle, or without
// the layers that the older one has.
type Weight struct {
	Full, Delta int64
	Layers      Layers // that are new
	Kept        Layers // that the older bundle has
}

// Layers are counted each once.
type Layers struct {
	Count int
	Bytes int64
}

func (l *Layers) add(size int64) { l.Count, l.Bytes = l.Count+1, l.Bytes+size }

// Bundles compares two.
func Bundles(older, newer *open.Bundle) (*Report, error) {
	r := compareRecords(older.Record, newer.Record)
	has := make(map[digest.Digest]bool)
	for d := range older.Layers() {
		has[d] = true
	}
	layers := newer.Layers()
	r.Weight = weigh(newer, layers, has)
	if err := r.moves(newer, layers, has); err != nil {
		return nil, err
	}
	for i := range r.Charts {
		if err := r.Charts[i].defaults(older, newer); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// compareRecords compares what two bundles say of themselves: all but sizes of layers and the
// defaults of charts.
func compareRecords(older, newer *record.Record) *Report {
	r := new(Report)
	r.charts(older.Charts, newer.Charts)
	r.images(older.Images, newer.Images)
	was, is := make(map[digest.Digest]bool), make(map[digest.Digest]bool)
	for _, a := range older.Referrers {
		was[a.Digest] = true
	}
	for _, a := range newer.Referrers {
		if is[a.Digest] {
			continue
		}
		if is[a.Digest] = true; was[a.Digest] {
			r.Referrers.Same++
		} else {
			r.Referrers.Added++
		}
	}
	r.Referrers.Removed = len(was) - r.Referrers.Same
	return r
}

// images compares by the names that images have.
func (r *Report) images(older, newer []record.Image) {
	was := make(map[string]record.Image)
	for _, im := range older {
		was[im.Reference] = im
	}
	gone := make(map[string][]string) // by repository
	is := make(map[string]bool)
	for _, im := range newer {
		is[im.Reference] = true
	}
	for _, im := range older {
		if is[im.Reference] {
			continue
		}
		r.Images = append(r.Images, Image{Reference: im.Reference, State: words.Removed, Previous: im.Digest, PreviousSize: im.Size, Platforms: im.Platforms})
		repo := repositoryOf(im.Reference)
		gone[repo] = append(gone[repo], im.Reference)
	}
	for _, im := range newer {
		d := Image{Reference: im.Reference, State: words.Added, Digest: im.Digest, Size: im.Size, Platforms: im.Platforms}
		old, known := was[im.Reference]
		switch before := gone[repositoryOf(im.Reference)]; {
		case known && old.Digest == im.Digest:
			r.SameImages++
			continue
		case known:
			d.State, d.Previous, d.PreviousSize = words.Changed, old.Digest, old.Size
		case len(before) == 1:
			d.Instead = before[0]
		}
		r.Images = append(r.Images, d)
	}
	slices.SortFunc(r.Images, func(a, b Image) int { return cmp.Compare(a.Reference, b.Reference) })
}

func repositoryOf(reference string) string {
	ref, err := name.Parse(reference)
	if err != nil {
		return reference
	}
	return ref.Repository()
}

// moves counts for each image the bytes of layers that the older bundle lacks.
func (r *Report) moves(newer *open.Bundle, layers, has map[digest.Digest]bool) error {
	roots := make(map[string]ocispec.Descriptor)
	for _, d := range newer.Index.Manifests {
		roots[name.Of(d)] = d
	}
	for i := range r.Images {
		im := &r.Images[i]
		if im.State == words.Removed {
			continue
		}
		_, blobs, err := newer.BlobsOf(roots[im.Reference])
		if err != nil {
			return err
		}
		for _, d := range blobs {
			if layers[d.Digest] && !has[d.Digest] {
				im.Moves += d.Size
			}
		}
	}
	return nil
}

// weigh adds up entries of the archive: each has a header and is padded.
func weigh(b *open.Bundle, layers, has map[digest.Digest]bool) (w Weight) {
	const block = 512
	entry := func(size int64) int64 { return block + (size+block-1)/block*block }
	head := int64(2 * block) // the end of the archive
	for e := range b.Reader.All() {
		head += entry(e.Size)
	}
	for _, d := range b.Blobs {
		if !layers[d.Digest] {
			continue
		}
		if _, inside := b.Reader.Entry(layout.BlobName(d.Digest)); inside {
			head -= entry(d.Size)
		}
		w.Full += entry(d.Size)
		if has[d.Digest] {
			w.Kept.add(d.Size)
			continue
		}
		w.Layers.add(d.Size)
		w.Delta += entry(d.Size)
	}
	w.Full, w.Delta = w.Full+head, w.Delta+head
	return w
}
