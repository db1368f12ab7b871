package open

import (
	"context"
	"errors"
	"slices"

	"bundle/bundle/internal/trust"
	"bundle/layout/parts"
)

// All opens every bundle of which there is something in files, folders and mount
// points, each over all that is there of it. They come in the order in which they are
// named first; at says by which path. What is of no bundle is an error.
func All(ctx context.Context, paths []string, t *trust.Trust) (all []*Bundle, at []string, err error) {
	defer func() {
		if err != nil {
			for _, b := range all {
				err = errors.Join(err, b.Close())
			}
			all, at = nil, nil
		}
	}()
	if paths, err = apart(ctx, paths); err != nil {
		return nil, nil, explainParts(err)
	}
	groups, err := groupByBundle(ctx, paths)
	if err != nil {
		return nil, nil, explainParts(err)
	}
	for _, group := range groups {
		b, err := File(ctx, group[0], t, group[1:]...)
		if err != nil {
			return all, nil, err
		}
		all, at = append(all, b), append(at, group[0])
	}
	return all, at, all[0].unused(ctx, groups[0], t)
}

// apart names a file of each bundle in place of a folder that has several.
func apart(ctx context.Context, paths []string) (all []string, err error) {
	for _, path := range paths {
		_, err := bundleIn(ctx, path)
		var several *parts.SeveralError
		switch {
		case errors.As(err, &several):
			all = append(all, several.Files...)
		case err != nil:
			return nil, err
		default:
			all = append(all, path)
		}
	}
	return all, nil
}

// unused returns what is wrong with a path that the bundle was opened with: nothing
// told whose it is, and the bundle has no use for it.
func (b *Bundle) unused(ctx context.Context, paths []string, t *trust.Trust) error {
	for _, path := range paths {
		if slices.Contains(b.Parts.Files(), path) {
			continue
		}
		if id, err := bundleIn(ctx, path); err != nil || id != "" {
			continue
		}
		other, err := File(ctx, path, t)
		if err != nil {
			return err
		}
		_ = other.Close()
	}
	return nil
}
