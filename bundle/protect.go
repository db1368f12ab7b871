package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"bundle/bundle/internal/carried"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/media"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/progress"
	"bundle/bundle/internal/transfer"
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
	Force   bool     // replace another bundle in parts under the name
}

// Protect adds parity to a bundle that exists: in parts, as many of which may be
// lost then; or in one file, where that many of a hundred or so runs of bad
// sectors may. All of it is checked before, since wrong parts would be protected
// just the same.
func Protect(ctx context.Context, path string, o ProtectOptions, pr Progress) (*reports.Protect, error) {
	pr = progress.OrSilent(pr)
	b, err := open.File(ctx, path, trust.TrustAnyone(), o.More...)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	if err := carried.Check(ctx, b, pr); err != nil {
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
	m := &media.Media{Set: set, Folders: o.Folders, Only: []int{}, Progress: pr, Sums: b.Parts.Listed(),
		Force: o.Force, ID: b.Record.ID, IDOf: transfer.IDOf, Sources: sourcesOf(b.Parts)}
	defer func() { err = errors.Join(err, m.Close()) }()
	pr.Phase("computing parity", set.Size)
	defer pr.End()
	err = m.Prepare(ctx, func(path string) error {
		return media.Copy(ctx, path, io.NewSectionReader(b.Parts, 0, set.Head), func(int64) {})
	})
	if err != nil {
		return nil, err
	}
	r := &reports.Protect{Path: path, ID: b.Record.ID, Data: set.Parity.Data, Parity: set.Parity.Parity}
	r.Parts, err = m.Protect(ctx, set.Columns(b.Parts))
	r.Removed = m.Removed()
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
			What:   fmt.Sprintf("%s is protected already: any %d of its columns may be lost", path, old.Parity.Parity),
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

// RepairOptions say where repaired parts go.
type RepairOptions struct {
	More   []string // further files and folders of the bundle
	Folder string   // made if it is not there
	Force  bool     // replace other files of those names, if they are of a bundle
}

// Repair writes the parts of a bundle that are lost or damaged into a folder, as
// they were. What is there is only read. The result is proved by the checksums
// inside the bundle.
func Repair(ctx context.Context, path string, o RepairOptions, pr Progress) (*reports.Repair, error) {
	pr = progress.OrSilent(pr)
	b, err := open.File(ctx, path, trust.TrustAnyone(), o.More...)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	set := b.Parts.Set()
	if set == nil || set.Parity == nil {
		return nil, &fault.UsageError{What: path + ": nothing protects this bundle", Advice: "parity is made by `bundle protect` or export --parity, while all of it is whole"}
	}
	r := &reports.Repair{Path: path, ID: b.Record.ID}
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
	if err := carried.Check(ctx, b, pr); err != nil {
		return r, fmt.Errorf("%s: more is lost than parity makes up for: %w", path, err)
	}
	if err := os.Mkdir(o.Folder, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return r, err
	}
	m := &mending{RepairOptions: o, bundle: b, read: append([]string{path}, o.More...), pr: pr}
	for _, c := range lostFiles(b.Parts, r.Damage) {
		one, err := m.repair(ctx, c)
		if err != nil {
			return r, err
		}
		r.Parts = append(r.Parts, *one)
	}
	return r, nil
}

// A mending is a repair under way.
type mending struct {
	RepairOptions
	bundle *open.Bundle
	read   []string // what it is read from
	pr     progress.Reporter
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

// repair writes one file and reads it back. One that is right already stays.
func (m *mending) repair(ctx context.Context, c lostFile) (*reports.Repaired, error) {
	to := filepath.Join(m.Folder, c.name)
	one := &reports.Repaired{Name: c.name, Path: to, Size: c.content.Size()}
	m.pr.Phase("repairing "+c.name, c.content.Size())
	defer m.pr.End()
	same, err := media.Holds(ctx, to, c.content)
	switch {
	case same:
		one.Kept = true
		return one, nil
	case err == nil:
		err = m.mayReplace(c, to)
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	}
	if err != nil {
		return nil, err
	}
	return one, media.CopyAndCompare(ctx, to, c.content, m.pr.Add)
}

// below is a name in each of some folders.
func below(folders []string, name string) (paths []string) {
	for _, f := range folders {
		paths = append(paths, filepath.Join(f, name))
	}
	return paths
}

// mayReplace refuses to write over a file of other content: always where it is what is
// being repaired, or nothing says that it is of a bundle.
func (m *mending) mayReplace(c lostFile, to string) error {
	e := &fault.UsageError{What: to + " is there already, with other content: it is not replaced", Advice: "choose an empty folder, or --force, which replaces what is of a bundle"}
	if !m.Force {
		return e
	}
	st, err := os.Stat(to)
	if err != nil {
		return err
	}
	for _, path := range slices.Concat(sourcesOf(m.bundle.Parts), m.read, below(m.read, c.name)) {
		if other, err := os.Stat(path); err == nil && os.SameFile(st, other) {
			e.What, e.Advice = to+" is what is repaired, and is not replaced", "nothing is repaired in place: choose another folder with -o"
			return e
		}
	}
	if c.name == m.bundle.Parts.Set().Name && transfer.IDOf(to) != "" || media.Names(m.Folder, m.bundle.Parts.Set().Name, c.name) {
		return nil
	}
	e.What, e.Advice = to+" is there already, and nothing beside it says that it belongs to a bundle: it is not replaced", "move it away, or choose another folder with -o"
	return e
}
