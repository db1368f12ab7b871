package open

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"

	"bundle/bundle/internal/fault"
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

// unused refuses a folder that the bundle was opened with and that has nothing of it:
// of several bundles, it may have been to bring another. Files are refused by [File].
func (b *Bundle) unused(ctx context.Context, paths []string, t *trust.Trust) error {
	for _, path := range paths {
		if slices.Contains(b.Parts.Files(), path) {
			continue
		}
		if st, err := os.Stat(path); err != nil || !st.IsDir() {
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

// refuseStrangers names all files that were named beside the bundle and are nothing of
// it: whoever names one believes that it counts.
func (b *Bundle) refuseStrangers() error {
	var all []string
	e := &fault.UsageError{Advice: "leave out what is named by mistake; in a folder that is named, what is of no bundle is passed over"}
	unknown := ""
	for _, path := range b.Parts.Strangers() {
		what := kindOf(path)
		if what == "" {
			what = "unknown content"
			unknown = "\na part that holds the inside of a layer is known by its name alone: give it back the one that it had"
		}
		all = append(all, path+" ("+what+")")
	}
	e.Advice += unknown
	switch e.What = strings.Join(all, ", "); len(all) {
	case 0:
		return nil
	case 1:
		e.What += " is no bundle, and no part of this one"
	default:
		e.What += " are no bundles, and no parts of this one"
	}
	return e
}

// kindOf says what a file is that is no bundle; empty where nothing tells.
func kindOf(path string) (what string) {
	f, err := os.Open(path)
	if err != nil {
		return "it cannot be read"
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil {
		what, _ = otherKind(f, st.Size())
	}
	return what
}
