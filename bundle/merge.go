package bundle

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/image"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/plan"
	"bundle/bundle/internal/progress"
	"bundle/bundle/internal/push"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/transfer"
	"bundle/bundle/internal/trust"
	"bundle/bundle/reports"
	"bundle/layout"
)

// MergeOptions say what becomes of a delta and the bundles that have the rest.
type MergeOptions struct {
	Older    []string // bundles that have what the delta leaves out, and further parts
	Output   string
	Force    bool // replace a bundle of other content at Output
	Signer   *Signer
	Trust    *Trust // who has to have signed the delta; nil: whoever did
	Tool     string
	Jobs     int // blobs copied at once; 0: DefaultJobs
	Progress Progress
}

// Merge writes what a delta brings into one whole bundle, signed anew. It has the id of
// an export of the same, and the time, the number and the end of the delta, so that to
// an import it is neither newer nor older, nor good for longer. Every byte is checked on
// the way. Layers that are nowhere are a *reports.LackError.
func Merge(ctx context.Context, path string, o MergeOptions) (*reports.Merge, error) {
	if o.Jobs <= 0 {
		o.Jobs = DefaultJobs
	}
	if err := transfer.CheckOutput(o.Output); err != nil {
		return nil, err
	}
	t := o.Trust
	if t == nil {
		t = &trust.Trust{Anybody: true, AllowExpired: true}
	}
	b, err := open.File(ctx, path, t, o.Older...)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	if len(b.Required()) == 0 {
		return nil, &fault.UsageError{What: path + " is whole: there is nothing to merge", Advice: "name the delta first; a second signature is added with `bundle sign`"}
	}
	if err := mergeable(b); err != nil {
		return nil, err
	}
	p, err := merged(b, o.Tool)
	if err != nil {
		return nil, err
	}
	if !o.Force {
		if err := mayReplace(ctx, o.Output, p.Record.ID); err != nil {
			return nil, err
		}
	}
	w, err := transfer.Write(ctx, nil, p, transfer.Options{
		Output: o.Output, Signer: o.Signer, Jobs: o.Jobs, Progress: progress.OrSilent(o.Progress),
	})
	var wrong *layout.ContentError
	if errors.As(err, &wrong) {
		d, _ := layout.BlobDigest(wrong.Subject)
		return nil, fault.Damage(b.Lender(d, path), err)
	}
	if err != nil {
		return nil, err
	}
	return &reports.Merge{
		Path: o.Output, Size: w.Size, ID: p.Record.ID, Created: b.Record.Created, Charts: len(b.Record.Charts), Images: len(b.Record.Images),
		Layers: len(b.Required()), Bytes: b.Record.Requires.Bytes(), Fingerprint: w.Fingerprint,
		KeyType: o.Signer.Key.PublicKey().Type(), Others: b.Signers,
	}, nil
}

// mergeable requires that every blob is there.
func mergeable(b *open.Bundle) error {
	lost := make(map[digest.Digest]bool)
	for _, d := range b.Required() {
		lost[d.Digest] = !b.Has(d.Digest)
	}
	needers, err := b.Needers(lost)
	if err != nil {
		return err
	}
	e := &push.LackError{}
	for _, l := range b.Record.Requires.Layers {
		if lost[l.Digest] {
			e.Layers = append(e.Layers, push.Lack{Digest: l.Digest, Size: l.Size, Image: needers[l.Digest], Base: b.Record.Requires.Base(l.Base)})
			e.Bytes += l.Size
		}
	}
	if len(e.Layers) > 0 {
		return e
	}
	return b.Lacking(b.Blobs, nil)
}

// merged lays out the whole bundle.
func merged(b *open.Bundle, tool string) (*plan.Plan, error) {
	rec := *b.Record
	rec.Requires, rec.Tool = nil, tool
	c := plan.Copy{Record: &rec, From: open.Contents{Bundle: b}, Documents: make(map[digest.Digest][]byte), Needs: make(map[string][]digest.Digest)}
	own := make(map[digest.Digest]bool)    // of the old record
	charts := make(map[digest.Digest]bool) // what charts consist of
	for _, ch := range b.Record.Charts {
		charts[ch.Digest] = true
	}
	layers := b.Layers()
	for _, root := range b.Index.Manifests {
		manifests, blobs, err := b.BlobsOf(root)
		if err != nil {
			return nil, err
		}
		if root.ArtifactType == record.Type {
			for _, d := range append(manifests, blobs...) {
				own[d.Digest] = true
			}
			continue
		}
		c.Roots = append(c.Roots, root)
		for _, d := range blobs {
			charts[d.Digest] = charts[d.Digest] || charts[root.Digest]
			c.Needs[name.Of(root)] = append(c.Needs[name.Of(root)], d.Digest)
		}
		for _, d := range manifests {
			if c.Documents[d.Digest] != nil {
				continue
			}
			if c.Documents[d.Digest], err = b.Document(d); err != nil {
				return nil, err
			}
		}
	}
	for _, d := range b.Blobs {
		switch {
		case own[d.Digest] || layout.IsManifest(d.MediaType):
		case charts[d.Digest] || image.IsImageConfig(d) && d.Size <= image.MaxConfig: // where an export has them
			doc, err := b.Small(d)
			if err != nil {
				return nil, err
			}
			c.Documents[d.Digest] = doc
		case layers[d.Digest]:
			c.Layers = append(c.Layers, d)
		default:
			c.Small = append(c.Small, d)
		}
	}
	return plan.Copied(c)
}
