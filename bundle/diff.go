package bundle

import (
	"context"

	"bundle/bundle/internal/diff"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/progress"
	"bundle/bundle/internal/push"
	"bundle/bundle/internal/remote"
	"bundle/bundle/internal/trust"
	"bundle/bundle/reports"
)

// Diff compares two bundles. Each is a file, a folder with parts, a part, or the head
// of one: no layer is read. Without a Trust both are taken as they claim to be.
func Diff(ctx context.Context, older, newer string, t *Trust) (*reports.Diff, error) {
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
	r := new(reports.Diff)
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
	Registry    Registry
	Names       Naming // how paths become paths there; empty: NamesFull
	Trust       *Trust // nil: the bundle is taken as it claims to be
	SkipCharts  bool   // as an import leaves them out
	NoReferrers bool
	TagDigests  bool

	Jobs            int // questions at once; 0: DefaultJobs
	RegistryOptions RegistryOptions
	Progress        Progress
}

// DiffRegistry compares a bundle with what a registry has. The right to read is
// enough, and nothing is downloaded.
func DiffRegistry(ctx context.Context, path string, o RegistryDiffOptions) (*reports.RegistryDiff, error) {
	if o.Jobs <= 0 {
		o.Jobs = DefaultJobs
	}
	b, err := openToShow(ctx, path, o.Trust)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	r := &reports.RegistryDiff{Registry: o.Registry.String()}
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
	past := newMemory(client, o.Registry)
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
