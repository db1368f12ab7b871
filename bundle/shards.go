package bundle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"bundle/bundle/internal/emit"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/input"
	"bundle/bundle/internal/push"
	"bundle/bundle/reports"
)

// A Share is one of several lots of the blobs of a bundle, see [ImportBlobs].
type Share = push.Share

// ParseShare reads I/N, with I from 1 to N, or from 0 to N-1.
func ParseShare(s string) (Share, error) { return push.ParseShare(s) }

// ImportBlobs checks a bundle and pushes a share of its blobs, and nothing that a
// client can see: so many machines move one bundle, and an [Import] in the end finds
// the blobs there, pushes manifests and tags, and writes values. Of o, all counts
// that says where the bundle goes and what is left out, and nothing about charts.
//
// What the registry refuses does not end the rest: the error is a *reports.RefusedError
// beside a valid report, and so is the *reports.MissingError of parts that are not there.
func ImportBlobs(ctx context.Context, path string, share Share, o ImportOptions) (*reports.Blobs, error) {
	t, err := begin(ctx, path, o)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	b := t.bundle
	places, err := t.places(nil)
	if err != nil {
		return nil, err
	}
	lot, err := t.pusher().RunBlobs(ctx, places, share, o.DryRun)
	if errors.Is(err, context.Canceled) && !o.DryRun {
		err = fault.WithHint(err, "the registry keeps what has arrived: the same command goes on from there")
	}
	if lot == nil {
		return nil, err
	}
	r := &reports.Blobs{
		DryRun: o.DryRun, Bundle: emit.About(path, b), ID: b.Record.ID, Created: b.Record.Created, Vouched: b.Vouched,
		Registry: o.Registry.String(), Lot: *lot, Warnings: t.past.warnings, Parts: b.PartsReport(),
	}
	errors.As(err, &r.Missing)
	return r, fault.Both(lot.Refused(), err)
}

// A ShardJob is a Kubernetes Job of [ImportBlobs].
type ShardJob struct {
	Shares int                 // pods at once
	Image  string              // of this program, for the pods
	Claim  string              // PersistentVolumeClaim with the bundle
	Paths  []string            // of the bundle, as here; on the volume they lie beside each other
	Args   []string            // further arguments of import
	Files  map[string][]string // files that are no secrets, such as keys, by flag
}

// maxGiven bounds such a file, in bytes: a ConfigMap holds 1 MiB.
const maxGiven = 512 << 10

// Manifest is the Job as YAML, for kubectl.
func (s ShardJob) Manifest(ctx context.Context) ([]byte, error) {
	j := emit.Job{
		Name: "bundle-import", Shares: s.Shares, Image: s.Image, Claim: s.Claim,
		Args: slices.Clone(s.Args), Files: make(map[string]string), Secret: "bundle-registry",
	}
	for _, p := range s.Paths {
		j.Paths = append(j.Paths, filepath.Base(p))
	}
	for _, flag := range slices.Sorted(maps.Keys(s.Files)) {
		for _, path := range s.Files[flag] {
			b, err := input.File(ctx, path, maxGiven)
			if err != nil {
				return nil, err
			}
			name := fmt.Sprintf("%d-%s", len(j.Files)+1, flag)
			j.Files[name] = string(b)
			j.Args = append(j.Args, "--"+flag, j.Folder()+"/"+name)
		}
	}
	return j.Manifest()
}
