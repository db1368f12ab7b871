package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/media"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/progress"
	"bundle/bundle/internal/trust"
	"bundle/bundle/reports"
	"bundle/layout/parts"
)

// virtualColumns is how many slices a bundle in one file is cut into for parity: it
// survives that so many of its blocks in a row are lost as one column has.
const virtualColumns = 20

// ProtectOptions say how much may be lost.
type ProtectOptions struct {
	More    []string // further files and folders of the bundle
	Parity  int      // parts that may be lost
	Percent int      // instead of Parity: of the parts
	Folders []string // where parity goes, in turn; empty: where the bundle is
}

// A ProtectReport says what was written beside a bundle.
type ProtectReport struct {
	Path   string          `json:"path"`
	ID     string          `json:"id"`
	Data   int             `json:"data"`   // columns of data: parts, or slices of one file
	Parity int             `json:"parity"` // how many columns may be lost
	Parts  []media.Written `json:"parts"`
}

// Protect adds parity to a bundle that exists: in parts, as many of which may be
// lost then; or in one file, where that many of a hundred or so runs of bad
// sectors may. All of it is checked before, since wrong parts would be protected
// just the same.
func Protect(ctx context.Context, path string, o ProtectOptions, pr progress.Reporter) (*ProtectReport, error) {
	pr = progress.OrSilent(pr)
	b, err := open.File(ctx, path, trust.TrustAnyone(), o.More...)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	if err := b.CheckAll(ctx, pr); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	set, err := protectable(b, path)
	if err != nil {
		return nil, err
	}
	columns := virtualColumns
	if !set.Whole() {
		columns = len(set.Parts)
	}
	if o.Percent > 0 {
		o.Parity = (columns*o.Percent + 99) / 100
	}
	if set.Parity, err = set.NewParity(o.Parity, columns); err != nil {
		return nil, &fault.UsageError{What: err.Error(), Advice: "give --parity K, or a percentage such as 10%"}
	}
	if len(o.Folders) == 0 {
		o.Folders = []string{folderOf(path)}
	}
	m := &media.Media{Set: set, Folders: o.Folders, Only: []int{}, Progress: pr, Sums: b.Parts.Listed()}
	defer func() { err = errors.Join(err, m.Close()) }()
	pr.Phase("computing parity", set.Size)
	defer pr.End()
	err = m.Prepare(ctx, func(path string) error {
		return media.Copy(ctx, path, io.NewSectionReader(b.Parts, 0, set.Head), func(int64) {})
	})
	if err != nil {
		return nil, err
	}
	r := &ProtectReport{Path: path, ID: b.Record.ID, Data: set.Parity.Data, Parity: set.Parity.Parity}
	r.Parts, err = m.Protect(ctx, set.Columns(b.Parts))
	return r, err
}

func folderOf(path string) string {
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		return path
	}
	return filepath.Dir(path)
}

// protectable describes a bundle as a set without parity.
func protectable(b *open.Bundle, path string) (*parts.Set, error) {
	old := b.Parts.Set()
	switch {
	case old != nil && old.Parity != nil:
		return nil, &fault.UsageError{
			What:   fmt.Sprintf("%s is protected already, by %d parts of parity", path, old.Parity.Parity),
			Advice: "remove those and the .blocks file first, or `bundle repair` what is lost",
		}
	case old != nil:
		set := *old
		return &set, nil
	case b.Parts.Count() > 1:
		return nil, &fault.UsageError{What: path + " was cut by another program", Advice: "join the slices with cat, and `bundle split` the bundle"}
	}
	return parts.Cut(parts.Cutting{
		Name: b.Parts.Name(), ID: parts.SumsID(b.Sums), Created: b.Reader.ModTime().Unix(),
		Entries: b.Reader.Entries(), Head: headSize(b),
	})
}

// A RepairReport says what was made again.
type RepairReport struct {
	Path   string             `json:"path"`
	ID     string             `json:"id"`
	Damage []parts.Damage     `json:"damage,omitempty"` // what was lost
	Parts  []reports.Repaired `json:"parts,omitempty"`  // what was written in its place
}

// Repair writes the parts of a bundle that are lost or damaged into a folder, as
// they were. What is there is only read. The result is proved by the checksums
// inside the bundle.
func Repair(ctx context.Context, path, folder string, pr progress.Reporter, more ...string) (*RepairReport, error) {
	pr = progress.OrSilent(pr)
	b, err := open.File(ctx, path, trust.TrustAnyone(), more...)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	set := b.Parts.Set()
	if set == nil || set.Parity == nil {
		return nil, &fault.UsageError{What: path + ": nothing protects this bundle", Advice: "parity is made by `bundle protect` or export --parity, while all of it is whole"}
	}
	r := &RepairReport{Path: path, ID: b.Record.ID}
	pr.Phase("looking for damage", set.Size)
	r.Damage, err = b.Parts.Survey(ctx, pr.Add)
	pr.End()
	if err != nil {
		return nil, err
	}
	if len(r.Damage) == 0 {
		return r, nil
	}
	// What is read is what would be written: it is proved before.
	if err := b.CheckAll(ctx, pr); err != nil {
		return r, fmt.Errorf("%s: more is lost than parity makes up for: %w", path, err)
	}
	if err := os.Mkdir(folder, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return r, err
	}
	for _, c := range lostFiles(b.Parts, r.Damage) {
		to := filepath.Join(folder, c.name)
		if err := repairOne(ctx, to, c.content, pr); err != nil {
			return r, err
		}
		r.Parts = append(r.Parts, reports.Repaired{Name: c.name, Path: to, Size: c.content.Size()})
	}
	return r, nil
}

// A lostFile is to be made again.
type lostFile struct {
	name    string
	content *io.SectionReader
}

// lostFiles turns columns into files: those of data are slices of one, where the
// bundle is in one.
func lostFiles(f *parts.File, damage []parts.Damage) (all []lostFile) {
	set := f.Set()
	for _, d := range damage {
		switch {
		case !set.Whole() || d.Column >= set.Parity.Data:
			all = append(all, lostFile{d.Name, f.Column(d.Column)})
		case len(all) == 0:
			all = append(all, lostFile{set.Name, io.NewSectionReader(f, 0, set.Size)})
		}
	}
	return all
}

// repairOne writes one file and reads it back.
func repairOne(ctx context.Context, to string, content *io.SectionReader, pr progress.Reporter) error {
	if _, err := os.Lstat(to); err == nil {
		return &fault.UsageError{What: to + " is there already", Advice: "choose an empty folder: repair replaces nothing"}
	}
	pr.Phase("repairing "+filepath.Base(to), content.Size())
	defer pr.End()
	return media.CopyAndCompare(ctx, to, content, pr.Add)
}
