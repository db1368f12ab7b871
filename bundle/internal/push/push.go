// Package push moves the content of a bundle into a registry.
//
// The contract: the registry is asked first and sent only what it lacks, also of
// what an earlier import brought and it has lost since. Blobs come before
// manifests, manifests before tags, images before what is attached to them, so
// nothing that a client can see changes before every blob has arrived under its
// digest. What the registry refuses does not end the rest: it is in the result,
// with what it costs.
//
//	p := &push.Pusher{Client: client, Bundle: b, Jobs: 6}
//	result, err := p.Run(ctx, places, dryRun)
//	if err == nil {
//		err = result.Refused()
//	}
package push

import (
	"context"
	"errors"
	"slices"

	"github.com/opencontainers/go-digest"

	"bundle/bundle/internal/open"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/progress"
	"bundle/bundle/internal/remote"
	"bundle/bundle/internal/words"
)

// A Pusher moves placements into the target registry: first what is missing is
// asked for, then blobs, then manifests, then tags, each of images before those of
// referrers.
type Pusher struct {
	Client   *remote.Client
	Bundle   *open.Bundle
	Registry string // the target as errors name it, with its prefix; empty: its host
	Jobs     int
	Chunk    int64 // largest body of a request of an upload; 0: no limit
	FailFast bool  // the first refusal ends the run
	// Hold says that Run is called again when media were changed: a blob that is cut
	// is sent piece by piece then, as its media come.
	Hold bool
	// Agree, if set, is shown before the first push which tags would stand for
	// something else, also in a dry run. An error ends everything.
	Agree func(ctx context.Context, tags []Image) error
	// Elsewhere, if set, lists repositories of the target that may have a layer which
	// a delta leaves out. It is called after Agree.
	Elsewhere func(digest.Digest) []string
	Deep      bool // read and hash what the registry says that it has
	Pr        progress.Reporter

	held map[digest.Digest]*held // from one Run to the next
}

// An Image is one reference, old and new.
type Image struct {
	Source string `json:"source"`
	Target string `json:"target"`
	Digest string `json:"digest"`
	Pushed bool   `json:"pushed"` // false: the target had it, or has refused it

	Refused      string        `json:"refused,omitempty"`      // why the target does not have it
	Replaces     digest.Digest `json:"replaces,omitempty"`     // what the tag stood for before
	SourceDigest string        `json:"sourceDigest,omitempty"` // where a choice of platforms changed it: what the source has

	Kind place.Kind `json:"-"`
}

// IsChart tells a chart from an image.
func (im Image) IsChart() bool { return im.Kind == place.Chart }

// State is what became of it, or would become in a dry run.
func (im Image) State(dryRun bool) words.State {
	switch {
	case im.Refused != "":
		return words.Refused
	case im.Pushed && im.Replaces != "":
		return words.Replaced.In(dryRun)
	case im.Pushed:
		return words.Pushed.In(dryRun)
	}
	return words.Present
}

// A Bytes counts bytes of blobs.
type Bytes struct {
	Sent    int64 `json:"sent"`    // moved over the network
	Mounted int64 `json:"mounted"` // taken by the registry from another of its repositories
	Present int64 `json:"present"` // there already
}

// A Result says what became of each placement.
type Result struct {
	Images []Image
	Bytes  Bytes
	Lack   *LackError // of Compare: layers that a delta requires and that are not there; nil: none

	refused *RefusedError // nil: nothing was
}

// Refused is a *[RefusedError] where something did not arrive, else nil.
func (r *Result) Refused() error {
	if r.refused == nil {
		return nil
	}
	return r.refused
}

// Run compares, preflights and pushes. A dry run ends before the first push, and
// counts what it would send. An error ends everything: a damaged bundle, a registry
// that cannot be reached, credentials that are wrong; with FailFast, any refusal.
//
// Where blobs that the registry lacks are on media that are not there, the others
// are pushed, nothing that a client can see is, and the error is an
// [*open.MissingError] beside a valid result.
func (p *Pusher) Run(ctx context.Context, places []place.Placement, dryRun bool) (*Result, error) {
	all, err := goals(p.Bundle, places)
	if err != nil {
		return nil, err
	}
	r, s, err := p.compare(ctx, all)
	if err != nil {
		return nil, err
	}
	if err := p.agree(ctx, s, all); err != nil {
		return nil, err
	}
	if err := r.prove(ctx, s, all); err != nil {
		return nil, err
	}
	if err := r.preflight(ctx); err != nil {
		return nil, err
	}
	if !dryRun {
		if err := r.pushPieces(ctx); err != nil {
			return nil, err
		}
	}
	lacking := p.Bundle.Lacking(r.todo.lacks(), p.sent)
	switch {
	case dryRun:
		r.bytes.Sent = r.todo.total()
		r.bytes.Mounted = r.todo.inside()
	case lacking != nil:
		err = r.pushPart(ctx)
	default:
		err = r.push(ctx, func() error { return r.stillThere(ctx, s, all) })
	}
	if err != nil {
		return nil, err
	}
	return r.result(s, all), lacking
}

// Compare finds out what Run would push, without a question whether it may, and
// whatever of the bundle is there.
func (p *Pusher) Compare(ctx context.Context, places []place.Placement) (*Result, error) {
	all, err := goals(p.Bundle, places)
	if err != nil {
		return nil, err
	}
	r, s, err := p.compare(ctx, all)
	if err != nil {
		return nil, err
	}
	r.bytes.Sent = r.todo.total()
	for _, u := range r.todo.absent {
		r.bytes.Sent += u.desc.Size
	}
	r.bytes.Mounted = r.todo.inside()
	var lack *LackError
	if err := r.prove(ctx, s, all); err != nil && !errors.As(err, &lack) {
		return nil, err
	}
	res := r.result(s, all)
	if res.Lack = lack; lack != nil {
		res.Bytes.Mounted -= lack.Bytes
	}
	return res, nil
}

// compare finds out what is to be done.
func (p *Pusher) compare(ctx context.Context, all []*goal) (*run, *survey, error) {
	s, err := p.survey(ctx, all)
	if err != nil {
		return nil, nil, err
	}
	return &run{
		Pusher: p, todo: s.todo(p.Bundle, all), bytes: Bytes{Present: s.present}, refusals: make(map[string]error),
	}, s, nil
}

// prove finds what a delta leaves out, before the first push.
func (r *run) prove(ctx context.Context, s *survey, all []*goal) error {
	if len(all) == 0 {
		return nil
	}
	if err := r.find(ctx, r.where(all)); err != nil || !r.Deep {
		return err
	}
	return r.deepCheck(ctx, s, all)
}

// where is what an error calls the target.
func (p *Pusher) where(all []*goal) string {
	if p.Registry != "" {
		return p.Registry
	}
	return all[0].Target.Host
}

// agree shows the tags that would stand for something else.
func (p *Pusher) agree(ctx context.Context, s *survey, all []*goal) error {
	if p.Agree == nil {
		return nil
	}
	var tags []Image
	for _, g := range all {
		if old := s.replaced(g); old != "" && s.lacking(g) {
			tags = append(tags, Image{Source: g.Source, Target: g.Target.String(), Digest: g.Root.Digest.String(), Replaces: old, Kind: g.Kind})
		}
	}
	return p.Agree(ctx, tags)
}

// result says for each goal what became of it.
func (r *run) result(s *survey, all []*goal) *Result {
	reduced := make(map[string]string)
	for _, im := range r.Bundle.Record.Images {
		reduced[im.Reference] = im.SourceDigest.String()
	}
	res := &Result{Bytes: r.bytes}
	refused := &RefusedError{closed: r.closed, total: len(all), hint: r.Client.AskOwner(r.closed)}
	for _, g := range all {
		im := Image{
			Source:       g.Source,
			Target:       g.Target.String(),
			Digest:       g.Root.Digest.String(),
			SourceDigest: reduced[g.Source],
			Kind:         g.Kind,
		}
		if s.lacking(g) {
			im.Pushed, im.Replaces = true, s.replaced(g)
			if err := r.refusal(g); err != nil {
				im.Pushed, im.Replaces, im.Refused = false, "", err.Error()
				refused.add(g, err)
			}
		}
		if im.Refused == "" && g.Kind != place.Referrer {
			refused.arrived = true
		}
		res.Images = append(res.Images, im)
	}
	if refused.lost > 0 {
		res.refused = refused
	}
	return res
}

// refusal finds why a goal was not reached, nil where it was.
func (r *run) refusal(g *goal) error {
	if err := r.closed[g.repo]; err != nil {
		return err
	}
	i := slices.IndexFunc(g.keys(), func(k string) bool { return r.refusals[k] != nil })
	if i < 0 {
		return nil
	}
	return r.refusals[g.keys()[i]]
}
