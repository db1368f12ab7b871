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
	"bundle/layout"
	"bundle/layout/parts"
)

// A SplitReport says what a bundle was cut into.
type SplitReport struct {
	Path  string          `json:"path"`
	ID    string          `json:"id"`
	Size  int64           `json:"size"`  // of the whole bundle
	Count int             `json:"count"` // parts
	Parts []media.Written `json:"parts"`

	Removed []string `json:"removed"` // files of another bundle in parts that was replaced
}

// Split cuts a bundle that exists into parts, as an export does that is told to.
// The bundle itself stays as it is. Its signature is not judged, but what is cut
// is read and compared with the checksums.
func Split(ctx context.Context, path string, o SetOptions, pr progress.Reporter) (*SplitReport, error) {
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
	pr = progress.OrSilent(pr)
	r := &SplitReport{Path: path, ID: b.Record.ID, Size: b.Size}
	err = r.write(ctx, b.Parts, set, o, pr)
	return r, err
}

// headSize is up to the last entry that is none of layers of images.
func headSize(b *open.Bundle) int64 {
	layers := b.Layers()
	return parts.HeadSize(b.Reader.Entries(), func(e layout.Entry) bool {
		d, _ := layout.BlobDigest(e.Name)
		return layers[d]
	})
}

// write copies slices of a bundle onto media.
func (r *SplitReport) write(ctx context.Context, src *parts.File, set *parts.Set, o SetOptions, pr progress.Reporter) (err error) {
	m, err := o.Media(set, r.ID, pr)
	if err != nil {
		return err
	}
	m.Sources, m.Filling, m.Payload = sourcesOf(src), "writing", set.Size
	defer func() { err = errors.Join(err, m.Close()) }()
	err = m.Prepare(ctx, func(path string) error {
		return media.Copy(ctx, path, io.NewSectionReader(src, 0, set.Head), func(int64) {})
	})
	if err != nil {
		return err
	}
	r.Count = m.Count()
	r.Parts, err = m.Write(ctx, func(ctx context.Context, k int, path string) (func() error, error) {
		p := set.Parts[k-1]
		return media.Begin(ctx, path, io.NewSectionReader(src, p.Offset, p.Size), pr.Add)
	})
	r.Removed = m.Removed()
	return err
}

// sourcesOf are the files that a bundle is read from.
func sourcesOf(f *parts.File) (paths []string) {
	for _, s := range f.Sources() {
		paths = append(paths, s.Path)
	}
	return paths
}
