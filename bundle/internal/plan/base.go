package plan

import (
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/record"
)

// A Base is something that says what the other side has: a bundle that was carried
// there, the receipt of an import, an inventory.
type Base struct {
	record.Base
	Path  string // as the user names it
	Blobs map[digest.Digest]Held
}

// Held is one blob that the other side has.
type Held struct {
	Size         int64
	Repositories []string // where it stood, see [record.Layer]; none: nobody knows
}

// A SizeError is a base that says another size of a layer than an image does.
type SizeError struct {
	Path    string // of the base
	Base    int64
	Image   string
	Size    int64
	Content digest.Digest
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("layer %s has %d bytes in base %s, and %d in %s", e.Content, e.Base, e.Path, e.Size, e.Image)
}

// Fault says what to do.
func (e *SizeError) Fault() (fault.Kind, string) {
	return fault.Usage, "one of the two is wrong: leave that --base out, or have it made again"
}

// leaveOut takes the layers that bases have out of what is fetched, and has the
// record require them.
func (p *Plan) leaveOut(bases []Base) error {
	if len(bases) == 0 {
		return nil
	}
	req := &record.Requires{}
	out := make(map[digest.Digest]bool)
	for _, d := range p.Fetch[p.Configs:] {
		l, err := p.requirement(d, bases)
		if err != nil {
			return err
		}
		if l.Base == "" {
			continue
		}
		out[d.Digest] = true
		req.Layers = append(req.Layers, l)
	}
	if len(out) == 0 {
		return nil
	}
	left := func(d digest.Digest) bool { return out[d] }
	p.Fetch = slices.DeleteFunc(p.Fetch, func(d ocispec.Descriptor) bool { return left(d.Digest) })
	for name, needs := range p.Needs {
		p.Needs[name] = slices.DeleteFunc(needs, left)
	}
	for d := range out {
		delete(p.From, d)
		delete(p.Local, d)
	}
	for _, b := range bases {
		used := slices.ContainsFunc(req.Layers, func(l record.Layer) bool { return l.Base == b.ID })
		if used && req.Base(b.ID).Kind == "" {
			req.Bases = append(req.Bases, b.Base)
		}
	}
	p.Record.Requires = req
	return nil
}

// requirement is what the record says of a layer that a base has; without a base
// where none has it.
func (p *Plan) requirement(d ocispec.Descriptor, bases []Base) (record.Layer, error) {
	l := record.Layer{Digest: d.Digest, Size: d.Size}
	for _, b := range bases {
		held, ok := b.Blobs[d.Digest]
		if !ok {
			continue
		}
		if held.Size != d.Size {
			return l, &SizeError{Path: b.Path, Base: held.Size, Image: p.neededBy(d.Digest), Size: d.Size, Content: d.Digest}
		}
		if l.Base == "" {
			l.Base = b.ID
		}
		for _, repo := range held.Repositories {
			if len(l.Repositories) < record.MaxRepositories && !slices.Contains(l.Repositories, repo) {
				l.Repositories = append(l.Repositories, repo)
			}
		}
	}
	return l, nil
}

func (p *Plan) neededBy(d digest.Digest) string {
	for _, im := range slices.Concat(p.Record.Images, p.Record.Referrers) {
		if slices.Contains(p.Needs[im.Reference], d) {
			return im.Reference
		}
	}
	return "an image"
}
