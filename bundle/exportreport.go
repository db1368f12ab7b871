package bundle

import (
	"fmt"
	"slices"
	"strings"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/image"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/plan"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/source"
	"bundle/bundle/internal/transfer"
	"bundle/bundle/reports"
)

func exportReport(p *plan.Plan, images []*image.Image, unasked []image.Unasked) *reports.Export {
	r := &reports.Export{
		Payload:    p.Payload(),
		Blobs:      len(p.Fetch),
		ID:         p.Record.ID,
		Created:    p.Created,
		Charts:     p.Record.Charts,
		Images:     p.Record.Images,
		Referrers:  p.Record.Referrers,
		Unresolved: p.Record.Unresolved,
		Accepted:   p.Record.Accepted,
		Fetched:    p.Sources,
		Unasked:    unasked,
		Tool:       p.Record.Tool,
		Serial:     p.Record.Serial,
		Expires:    p.Record.Expires,
	}
	for _, im := range images {
		note(r, im)
	}
	below := place.Registry{Host: name.LocalHost}
	for _, c := range place.Collisions(p.Record, place.NewNames(p.Record, below, place.Full)) {
		r.Collisions = append(r.Collisions, fmt.Sprintf("%s and %s both become %s at import, unless it is told --names host or --names flat",
			c.First, c.Second, strings.TrimPrefix(c.Target, below.Host+"/")))
	}
	return r
}

// note lists what is special about an image.
func note(r *reports.Export, im *image.Image) {
	if len(im.Lacks) > 0 {
		l := reports.Lacking{Reference: im.Name()}
		for _, p := range im.Lacks {
			l.Lacks = append(l.Lacks, p.String())
		}
		if i := slices.IndexFunc(r.Images, func(x record.Image) bool { return x.Reference == l.Reference }); i >= 0 {
			l.Takes = r.Images[i].Platforms
		}
		r.Lacking = append(r.Lacking, l)
	}
	for _, d := range im.Lost {
		r.LeftBehind = append(r.LeftBehind, reports.LeftBehind{Reference: im.Name(), Digest: d})
	}
	for _, d := range im.Elsewhere {
		r.Elsewhere = append(r.Elsewhere, reports.Elsewhere{
			Reference: im.Name(), Digest: d.Digest, MediaType: d.MediaType, Size: d.Size, URLs: record.Printables(d.URLs),
		})
	}
}

// noteWritten notes what came of it.
func noteWritten(r *reports.Export, output string, w *transfer.Result) {
	r.Output, r.Size, r.Resumed = output, w.Size, w.Resumed
	r.Changed, r.Fingerprint = w.Changed, w.Fingerprint
	r.Parts, r.Count, r.Removed = w.Parts, w.Count, w.Removed
}

// incomplete is the error of a bundle that lacks what was asked for.
func incomplete(r *reports.Export) error {
	var e fault.IncompleteError
	var advice []string
	advise := func(text string) {
		if !slices.Contains(advice, text) {
			advice = append(advice, text)
		}
	}
	for _, f := range r.Unresolved {
		reason, what := source.Why(f)
		e.Items = append(e.Items, fmt.Sprintf("%s (%s) in %s", f.Raw, reason, f.Where()))
		advise(what)
	}
	if len(r.Unresolved) > 0 {
		e.Summary = "some references cannot be pulled as they stand, and are not in the bundle:"
	}
	for _, u := range r.Unasked {
		questions := "a question"
		if u.Questions > 1 {
			questions = fmt.Sprintf("%d questions", u.Questions)
		}
		e.Items = append(e.Items, fmt.Sprintf("%s: no answer to %s for signatures and other referrers: %s", u.Registry, questions, u.Reason))
		advise("leave referrers of one registry behind with --no-referrers=" + u.Registry)
		if e.Summary == "" {
			e.Summary = "the images are in the bundle; signatures, SBOMs and the like that are attached to them may be missing:"
		}
	}
	if len(e.Items) == 0 {
		return nil
	}
	e.Advice = strings.Join(advice, "\n")
	return &e
}
