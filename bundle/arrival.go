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

// An arrival is an import under way: what was asked for, completed, the open bundle,
// and the registry that it goes to.
type arrival struct {
	ImportOptions
	path     string
	bundle   *open.Bundle
	client   *remote.Client
	names    place.Names
	excluded []string // references inside that are left out
	past     *memory
	nodeCA   []byte // PEM of what nodes have to trust to pull from Registry
}

// begin opens the bundle and the registry.
func begin(ctx context.Context, path string, o ImportOptions) (t *arrival, err error) {
	if err := emit.CheckGitOps(o.GitOps, o.Environments); err != nil {
		return nil, err
	}
	o.Progress = progress.OrSilent(o.Progress)
	t = &arrival{ImportOptions: o, path: path}
	if t.bundle, err = open.File(ctx, path, o.Trust, o.media()...); err != nil {
		return nil, err
	}
	if o.Jobs <= 0 { // while one blob of a medium is ended, the next is read
		t.Jobs = max(DefaultJobs, 2*t.bundle.Media())
	}
	if t.client, err = remote.New(o.RegistryOptions); err != nil {
		return nil, errors.Join(err, t.bundle.Close())
	}
	t.names = place.NewNames(t.bundle.Record, o.Registry, o.Names)
	if t.excluded, err = t.names.Exclude(t.bundle.Record, o.Exclude); err != nil {
		t.Close()
		return nil, err
	}
	t.past = newMemory(t.client, o.Registry)
	return t, nil
}

// Close ends both.
func (t *arrival) Close() {
	t.client.Close()
	_ = t.bundle.Close() // it was only read
}

// places says what goes where.
func (t *arrival) places(charts []*emit.Chart) ([]place.Placement, error) {
	return place.All(t.bundle, t.names, place.Options{
		Seen: emit.Seen(charts), NoCharts: t.SkipCharts, NoReferrers: t.NoReferrers, TagDigests: t.TagDigests,
	})
}

func (t *arrival) pusher() *push.Pusher {
	return &push.Pusher{
		Client: t.client, Bundle: t.bundle, Registry: t.Registry.String(), Jobs: t.Jobs, Chunk: t.ChunkSize, FailFast: t.FailFast, Pr: t.Progress, Deep: t.Deep,
		Agree: t.agree, Elsewhere: t.past.elsewhere(t.bundle.Record.Requires, t.names),
	}
}
