package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/media"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/progress"
	"bundle/bundle/internal/transfer"
	"bundle/bundle/internal/trust"
	"bundle/bundle/reports"
	"bundle/layout"
	"bundle/layout/parts"
)

// Split cuts a bundle that exists into parts, as an export does that is told to.
// The bundle itself stays as it is. Its signature is not judged, but what is cut
// is read and compared with the checksums.
func Split(ctx context.Context, path string, o SetOptions, pr Progress) (*reports.Split, error) {
	if err := o.Complete(); err != nil {
		return nil, err
	}
	b, err := open.File(ctx, path, trust.TrustAnyone())
	if err != nil {
		return nil, err
	}
	defer b.Close()
	o.Name = b.Parts.Name()
	set, err := transfer.CutFor(parts.Cutting{
		Name: o.Name, ID: parts.SumsID(b.Sums), Created: b.Reader.ModTime().Unix(),
		Entries: b.Reader.Entries(), Head: headSize(b),
	}, &o)
	if err != nil {
		return nil, err
	}
	itself := func(folder string) bool { return filepath.Clean(folder) == filepath.Dir(path) }
	if len(set.Parts) == 1 && slices.ContainsFunc(o.Folders, itself) { // the part would be the bundle
		return nil, &fault.UsageError{
			What:   fmt.Sprintf("%s has %s, and one part of that size would hold all of it", path, fault.Size(b.Size)),
			Advice: "carry it as it is, or give a smaller --split-size",
		}
	}
	m, err := o.Media(set, b.Record.ID, progress.OrSilent(pr))
	if err != nil {
		return nil, err
	}
	m.Sources = sourcesOf(b.Parts)
	written, err := writeParts(ctx, b.Parts, m)
	return &reports.Split{
		Path: path, ID: b.Record.ID, Size: b.Size, Count: m.Count(), Parts: written, Removed: m.Removed(),
	}, errors.Join(err, m.Close())
}

// headSize is up to the last entry that is none of layers of images.
func headSize(b *open.Bundle) int64 {
	layers := b.Layers()
	return parts.HeadSize(b.Reader.Entries(), func(e layout.Entry) bool {
		d, _ := layout.BlobDigest(e.Name)
		return layers[d]
	})
}

// writeParts copies slices of a bundle onto media.
func writeParts(ctx context.Context, bundle io.ReaderAt, m *media.Media) ([]media.Written, error) {
	m.Filling, m.Payload = "writing", m.Set.Size
	err := m.Prepare(ctx, func(path string) error {
		return media.Copy(ctx, path, io.NewSectionReader(bundle, 0, m.Set.Head), func(int64) {})
	})
	if err != nil {
		return nil, err
	}
	return m.Write(ctx, func(ctx context.Context, k int, path string) (func() error, error) {
		p := m.Set.Parts[k-1]
		return media.Begin(ctx, path, io.NewSectionReader(bundle, p.Offset, p.Size), m.Progress.Add)
	})
}

// sourcesOf are the files that a bundle is read from.
func sourcesOf(f *parts.File) (paths []string) {
	for _, s := range f.Sources() {
		paths = append(paths, s.Path)
	}
	return paths
}
