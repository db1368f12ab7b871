package open

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/record"
	"bundle/layout"
	"bundle/layout/parts"
)

// A MissingError says which parts of a bundle are on no medium that was given, and
// what needs them.
type MissingError struct {
	Parts  []int    `json:"parts"`          // numbers from 1 on
	Of     int      `json:"of"`             // how many there are
	Images []string `json:"images"`         // that cannot be had whole without them
	Bytes  int64    `json:"bytes"`          // of blobs
	Any    int      `json:"any,omitempty"`  // with parity: how many media are enough, whichever they are
	Cut    []string `json:"cut"`            // images with a layer that is cut, and of which a piece is here
	Next   int      `json:"next,omitempty"` // the part with which a layer that is cut goes on

	Problems []string `json:"problems"` // with the medium that came last, where it was of no use
}

func (e *MissingError) Error() string {
	what := "part " + parts.Numbers(e.Parts) + " of " + fmt.Sprint(e.Of) + " is missing"
	if len(e.Parts) > 1 {
		what = "parts " + parts.Numbers(e.Parts) + " of " + fmt.Sprint(e.Of) + " are missing"
	}
	return fmt.Sprintf("%s: %s, %s for\n  %s", what, amount(len(e.Images), "image"), fault.Size(e.Bytes), strings.Join(e.Images, "\n  "))
}

// Fault tells how to go on.
func (e *MissingError) Fault() (fault.Kind, string) {
	hint := "insert another medium and give the same command again, or name all media at once"
	if e.Any > 0 && e.Any < len(e.Parts) {
		hint += fmt.Sprintf("\nthanks to parity, any %d more will do, if all are there at once or --scratch FOLDER keeps them", e.Any)
	}
	if len(e.Cut) > 0 {
		hint += "\na layer of " + strings.Join(e.Cut, ", ") + " is cut: its parts have to be there at once,\nor --scratch FOLDER keeps them on this machine meanwhile; at a terminal, one run asks for medium after medium"
	}
	return fault.NeedsMore, hint
}

func amount(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// explainParts gives errors about files of a set their kind.
func explainParts(err error) error {
	var (
		several *parts.SeveralError
		none    *parts.NoneError
		special *parts.NotFileError
		missing *parts.MissingError
		twice   *parts.TwiceError
		known   fault.Fault
	)
	var path *fs.PathError
	switch {
	case errors.As(err, &known):
		return err
	case errors.As(err, &path) && errors.Is(path.Err, fs.ErrNotExist):
		return fault.Input("bundle "+path.Path, errors.New("no such file"), "is the medium mounted? "+fault.HintPath)
	case errors.As(err, &path) && errors.Is(path.Err, fs.ErrPermission):
		return fault.Input("bundle "+path.Path, errors.New("no permission to read it"), "")
	case errors.As(err, &several):
		return &fault.UsageError{What: err.Error(), Advice: "name a file of the one that is meant, in place of the folder;\nof a delta and the bundle that has the rest, the delta comes first"}
	case errors.As(err, &none) && none.Err == nil:
		return &fault.UsageError{What: err.Error(), Advice: "give the file of a bundle, parts of one, or a folder with them"}
	case errors.As(err, &special):
		return &fault.UsageError{What: err.Error()}
	case errors.As(err, &twice):
		return fault.WithHint(err, "leave one of them out")
	case errors.As(err, &missing):
		return &headError{err}
	}
	return err
}

// A headError is a bundle whose begin is not there.
type headError struct{ error }

func (e *headError) Unwrap() error { return e.error }

// Fault says which file is needed.
func (e *headError) Fault() (fault.Kind, string) {
	return fault.NeedsMore, "the begin of the bundle is needed first: part 1, or the file that ends in .head, which every medium has"
}

// missing lists the parts without which an entry cannot be read.
func (b *Bundle) missing(e layout.Entry) []int {
	if b.Parts == nil {
		return nil
	}
	return b.Parts.Missing(e.Offset, e.Offset+e.Size)
}

// Has reports whether all of a blob is there to be read, in the bundle or in one
// that was named beside it.
func (b *Bundle) Has(d digest.Digest) bool {
	e, ok := b.Reader.Entry(layout.BlobName(d))
	if !ok {
		return b.lender(d) != nil
	}
	return len(b.missing(e)) == 0
}

// Reach says how far a blob can be read from an offset on; no further than its end.
func (b *Bundle) Reach(d digest.Digest, from int64) int64 {
	e, ok := b.Reader.Entry(layout.BlobName(d))
	if !ok || b.Parts == nil {
		return e.Size
	}
	return b.Parts.Reach(e.Offset+from, e.Offset+e.Size) - e.Offset
}

// Lacking returns a [*MissingError] where some of the blobs are not there. sent, if
// set, says how many bytes of a blob are not needed any longer.
func (b *Bundle) Lacking(blobs []ocispec.Descriptor, sent func(digest.Digest) int64) error {
	if b.Parts == nil || len(b.Parts.Absent()) == 0 {
		return nil
	}
	m := &MissingError{Of: b.Parts.Count(), Problems: []string{}}
	lost, cut := make(map[digest.Digest]bool), make(map[digest.Digest]bool)
	for _, d := range blobs {
		e, inside := b.Reader.Entry(layout.BlobName(d.Digest))
		if !inside {
			continue // of a delta
		}
		begin := int64(0)
		if sent != nil {
			begin = sent(d.Digest)
		}
		list := b.Parts.Missing(e.Offset+begin, e.Offset+e.Size)
		if len(list) == 0 || lost[d.Digest] {
			continue
		}
		lost[d.Digest] = true
		if cut[d.Digest] = begin > 0 || b.Parts.Spans(e.Offset, e.Offset+e.Size) > len(list); cut[d.Digest] && (m.Next == 0 || list[0] < m.Next) {
			m.Next = list[0]
		}
		m.Bytes += d.Size - begin
		m.Parts = append(m.Parts, list...)
	}
	if len(lost) == 0 {
		return nil
	}
	slices.Sort(m.Parts)
	m.Parts = slices.Compact(m.Parts)
	m.Images = b.imagesWith(func(d digest.Digest) bool { return lost[d] })
	if s := b.Parts.Set(); s != nil && s.Parity != nil {
		m.Any = b.Parts.Needs()
	}
	m.Cut = b.imagesWith(func(d digest.Digest) bool { return cut[d] })
	return m
}

// Layers are the blobs that are layers of images and of what is attached to them,
// and nothing else: what a bundle can be opened without.
func (b *Bundle) Layers() map[digest.Digest]bool {
	layers := make(map[digest.Digest]bool)
	needed := make(map[digest.Digest]bool)
	charts := make(map[digest.Digest]bool)
	for _, c := range b.Record.Charts {
		charts[c.Digest] = true
	}
	for _, d := range b.Blobs {
		if !layout.IsManifest(d.MediaType) || layout.IsIndex(d.MediaType) {
			needed[d.Digest] = needed[d.Digest] || layout.IsManifest(d.MediaType)
			continue
		}
		needed[d.Digest] = true
		doc, err := b.Document(d)
		if err != nil {
			return nil
		}
		var m ocispec.Manifest
		if err := json.Unmarshal(doc, &m); err != nil {
			return nil
		}
		needed[m.Config.Digest] = true
		for _, l := range m.Layers {
			layers[l.Digest] = true
			needed[l.Digest] = needed[l.Digest] || charts[d.Digest] || l.MediaType == record.Type
		}
	}
	maps.DeleteFunc(layers, func(d digest.Digest, _ bool) bool { return needed[d] })
	return layers
}

// imagesWith names the images that need one of some blobs.
func (b *Bundle) imagesWith(some func(digest.Digest) bool) (names []string) {
	for _, root := range b.Index.Manifests {
		manifests, blobs, err := b.BlobsOf(root)
		if err == nil && slices.ContainsFunc(append(manifests, blobs...), func(d ocispec.Descriptor) bool { return some(d.Digest) }) {
			names = append(names, name.Of(root))
		}
	}
	return names
}

// A PartError is damage with the part and the images that it concerns.
type PartError struct {
	Parts  []int // more than one where a blob is cut and nothing tells which is wrong
	Paths  []string
	Images []string
	Err    error
}

func (e *PartError) Error() string {
	what := "part "
	if len(e.Parts) > 1 {
		what = "one of parts "
	}
	return fmt.Sprintf("%s%s, %s: %s: %v", what, parts.Numbers(e.Parts), strings.Join(e.Paths, ", "), strings.Join(e.Images, ", "), e.Err)
}

// Unwrap returns the damage.
func (e *PartError) Unwrap() error { return e.Err }

// remarkImages says which images damage concerns.
func remarkImages(images []string, err error) error {
	const most = 3
	switch n := len(images); {
	case n == 0:
		return err
	case n > most:
		return fmt.Errorf("%s and %d more: %w", strings.Join(images[:most], ", "), n-most, err)
	}
	return fmt.Errorf("%s: %w", strings.Join(images, ", "), err)
}

// locate says of damage where it lies, if the bundle is in parts.
func (b *Bundle) locate(ctx context.Context, e layout.Entry, err error) error {
	p := &PartError{Err: err}
	if d, blob := layout.BlobDigest(e.Name); blob {
		p.Images = b.imagesWith(func(x digest.Digest) bool { return x == d })
	}
	if b.Parts == nil || b.Parts.Count() < 2 {
		return remarkImages(p.Images, err)
	}
	p.Parts, p.Paths = b.Parts.Suspects(ctx, e.Offset, e.Offset+e.Size)
	return p
}

// Locate says of what went wrong with a blob where it lies.
func (b *Bundle) Locate(ctx context.Context, d digest.Digest, err error) error {
	e, inside := b.Reader.Entry(layout.BlobName(d))
	if l := b.lender(d); l != nil && !inside {
		return fmt.Errorf("%s: %w", l.path, err)
	}
	err = b.locate(ctx, e, err)
	var damage *layout.FormatError // what cannot be read has its file in the error
	if b.Parts == nil || b.Parts.Count() > 1 || !errors.As(err, &damage) {
		return err
	}
	return fmt.Errorf("%s: %w", b.Parts.PathAt(e.Offset), err)
}

// checkFrames compares what lies between blobs.
func (b *Bundle) checkFrames(ctx context.Context) error {
	if b.Parts == nil {
		return nil
	}
	return b.Parts.CheckFrames(ctx)
}

// A PartsReport says what is there of a bundle in parts.
type PartsReport struct {
	Count    int      `json:"count"`
	Missing  []int    `json:"missing"`          // numbers from 1 on
	Files    []string `json:"files"`            // paths that are read
	Problems []string `json:"problems"`         // with files that were found
	Parity   int      `json:"parity,omitempty"` // how many parts may be lost
	Spare    int      `json:"spare,omitempty"`  // how many more, after those that are
}

// PartsReport returns nil for a bundle in one file that nothing protects.
func (b *Bundle) PartsReport() *PartsReport {
	if b.Parts == nil || b.Parts.Count() < 2 && b.Parts.Set() == nil {
		return nil
	}
	r := &PartsReport{Count: b.Parts.Count(), Missing: b.Parts.Unseen(), Files: b.Parts.Files()}
	for _, err := range append(b.Parts.Problems(), b.Parts.Repaired()...) {
		r.Problems = append(r.Problems, err.Error())
	}
	r.Parity, r.Spare = b.Parts.Spare()
	return r
}

// checkParity reads what nothing but repairing needs.
func (b *Bundle) checkParity(ctx context.Context) error {
	if b.Parts == nil {
		return nil
	}
	return b.Parts.CheckParity(ctx)
}
