package bundle

import (
	"context"
	"fmt"

	"bundle/bundle/internal/diff"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/progress"
	"bundle/bundle/internal/push"
	"bundle/bundle/internal/remote"
	"bundle/bundle/internal/trust"
)

// A DiffReport says what changes from one bundle to another.
type DiffReport struct {
	Old, New *InspectReport
	Changes  *diff.Report
}

// Diff compares two bundles. Each is a file, a folder with parts, a part, or the head
// of one: no layer is read. Without a Trust both are taken as they claim to be.
func Diff(ctx context.Context, older, newer string, t *trust.Trust) (*DiffReport, error) {
	a, err := openToShow(ctx, older, t)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	b, err := openToShow(ctx, newer, t)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	r := new(DiffReport)
	if r.Old, err = inspect(older, a); err != nil {
		return nil, err
	}
	if r.New, err = inspect(newer, b); err != nil {
		return nil, err
	}
	r.Changes, err = diff.Bundles(a, b)
	return r, err
}

// openToShow opens a bundle of which nothing is used but what it says of itself.
func openToShow(ctx context.Context, path string, t *trust.Trust) (*open.Bundle, error) {
	if t == nil {
		t = trust.TrustAnyone()
		t.AllowExpired = true
	}
	return open.Head(ctx, path, t)
}

// RegistryDiffOptions say which registry a bundle is compared with.
type RegistryDiffOptions struct {
	Registry    place.Registry
	Names       place.Naming // how paths become paths there; empty: place.Full
	Trust       *trust.Trust // nil: the bundle is taken as it claims to be
	SkipCharts  bool         // as an import leaves them out
	NoReferrers bool
	TagDigests  bool

	Jobs            int // questions at once; 0: DefaultJobs
	RegistryOptions RegistryOptions
	Progress        progress.Reporter
}

// A RegistryDiff says what an import of a bundle would change in a registry.
type RegistryDiff struct {
	Bundle   *InspectReport
	Registry string
	Images   []push.Image // names in the registry
	Bytes    push.Bytes
	Lack     *push.LackError // layers that a delta requires and that are not there; nil: none
}

// DiffRegistry compares a bundle with what a registry has. The right to read is
// enough, and nothing is downloaded.
func DiffRegistry(ctx context.Context, path string, o RegistryDiffOptions) (*RegistryDiff, error) {
	if o.Jobs <= 0 {
		o.Jobs = DefaultJobs
	}
	b, err := openToShow(ctx, path, o.Trust)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	r := &RegistryDiff{Registry: o.Registry.String()}
	if r.Bundle, err = inspect(path, b); err != nil {
		return nil, err
	}
	client, err := remote.New(o.RegistryOptions)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	names := place.NewNames(b.Record, o.Registry, o.Names)
	places, err := place.All(b, names, place.Options{
		NoCharts: o.SkipCharts, NoReferrers: o.NoReferrers, TagDigests: o.TagDigests,
	})
	if err != nil {
		return nil, err
	}
	past := newMemory(client, &ImportOptions{Registry: o.Registry})
	if b.Record.Requires != nil {
		if err := past.recall(ctx); err != nil {
			return nil, err
		}
	}
	p := &push.Pusher{
		Client: client, Bundle: b, Registry: r.Registry, Jobs: o.Jobs, Pr: progress.OrSilent(o.Progress),
		Elsewhere: past.elsewhere(b.Record.Requires, names),
	}
	found, err := p.Compare(ctx, places)
	if err != nil {
		return nil, err
	}
	r.Images, r.Bytes, r.Lack = found.Images, found.Bytes, found.Lack
	return r, nil
}

// A DifferentError is a difference where none was to be.
type DifferentError struct {
	Count int // of charts, images and names
}

func (e *DifferentError) Error() string {
	if e.Count == 1 {
		return "one thing differs"
	}
	return fmt.Sprintf("%d things differ", e.Count)
}

// Fault is that of something that is left to do.
func (e *DifferentError) Fault() (fault.Kind, string) { return fault.Incomplete, "" }

// Err is a *DifferentError where anything differs, else nil.
func (r *DiffReport) Err() error {
	c := r.Changes
	return different(len(c.Charts) + len(c.Images) + c.Referrers.Added + c.Referrers.Removed)
}

// Err is a *DifferentError where an import would change anything, else nil.
func (r *RegistryDiff) Err() error {
	n := 0
	for _, im := range r.Images {
		if im.Pushed {
			n++
		}
	}
	return different(n)
}

func different(n int) error {
	if n == 0 {
		return nil
	}
	return &DifferentError{n}
}
