package bundle

import (
	"context"
	"errors"

	"bundle/bundle/internal/emit"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/progress"
	"bundle/bundle/internal/push"
	"bundle/bundle/internal/remote"
)

// An arrival is an open bundle and the registry that it goes to.
type arrival struct {
	bundle   *open.Bundle
	client   *remote.Client
	names    place.Names
	excluded []string // references inside that are left out
	past     *memory
}

// begin opens both, and completes the options.
func (o *ImportOptions) begin(ctx context.Context, path string) (t *arrival, err error) {
	o.Progress = progress.OrSilent(o.Progress)
	if err := emit.CheckGitOps(o.GitOps, o.Environments); err != nil {
		return nil, err
	}
	t = new(arrival)
	if t.bundle, err = open.File(ctx, path, o.Trust, o.media()...); err != nil {
		return nil, err
	}
	if o.Jobs <= 0 { // while one blob of a medium is ended, the next is read
		o.Jobs = max(DefaultJobs, 2*t.bundle.Media())
	}
	if t.client, err = remote.New(o.RegistryOptions); err != nil {
		return nil, errors.Join(err, t.bundle.Close())
	}
	t.names = place.NewNames(t.bundle.Record, o.Registry, o.Names)
	if t.excluded, err = t.names.Exclude(t.bundle.Record, o.Exclude); err != nil {
		t.Close()
		return nil, err
	}
	t.past = newMemory(t.client, o)
	return t, nil
}

// Close ends both.
func (t *arrival) Close() {
	t.client.Close()
	_ = t.bundle.Close() // it was only read
}

// places says what goes where.
func (t *arrival) places(o *ImportOptions, charts []*emit.Chart) ([]place.Placement, error) {
	return place.All(t.bundle, t.names, place.Options{
		Seen: emit.Seen(charts), NoCharts: o.SkipCharts, NoReferrers: o.NoReferrers, TagDigests: o.TagDigests,
	})
}

func (t *arrival) pusher(o *ImportOptions) *push.Pusher {
	return &push.Pusher{
		Client: t.client, Bundle: t.bundle, Registry: o.Registry.String(), Jobs: o.Jobs, Chunk: o.ChunkSize, FailFast: o.FailFast, Pr: o.Progress, Deep: o.Deep,
		Agree: t.past.agree(t.bundle, o), Elsewhere: t.past.elsewhere(t.bundle.Record.Requires, t.names),
	}
}
