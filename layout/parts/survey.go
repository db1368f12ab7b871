package parts

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"bundle/layout/parity"
)

// Spare says how many columns the parity of the set makes up for, and how many
// more may be lost after those that are not there and those found damaged so far.
func (f *File) Spare() (all, left int) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.set == nil || f.set.Parity == nil {
		return 0, 0
	}
	p := f.set.Parity
	worst := f.lost(0, p.Blocks) - f.elsewhere()
	if f.repair != nil {
		f.repair.mu.Lock()
		defer f.repair.mu.Unlock()
		stripes := make(map[int64]int)
		for id := range f.repair.bad {
			if stripes[id.block] == 0 {
				stripes[id.block] = f.lost(id.block, id.block+1)
			}
			stripes[id.block]++
			worst = max(worst, stripes[id.block])
		}
	}
	return p.Parity, max(p.Parity-worst, 0)
}

// elsewhere counts the columns that are not there, and were on a medium before.
func (f *File) elsewhere() (n int) {
	for part := range f.seen {
		switch {
		case part <= isColumn && f.columnList()[isColumn-part] == nil:
			n++
		case part > isHead && !f.set.Whole() && !slices.ContainsFunc(f.extents, func(x *extent) bool { return x.part == part }):
			n++
		}
	}
	return n
}

// A Damage is a column of a set that is not as it should be.
type Damage struct {
	Column  int     `json:"column"`
	Name    string  `json:"name"`
	Path    string  `json:"path,omitempty"`    // empty where it is not there
	Missing bool    `json:"missing,omitempty"` // some of it is not there
	Blocks  []int64 `json:"blocks,omitempty"`  // that are damaged, or cannot be read
}

// Survey reads every block that is there, columns beside each other, and says which
// columns are not whole.
func (f *File) Survey(ctx context.Context, told func(int64)) ([]Damage, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.repair == nil {
		return nil, errors.New("nothing protects this bundle")
	}
	found := make([]Damage, f.set.Parity.Data+f.set.Parity.Parity)
	var g errgroup.Group
	g.SetLimit(atOnce)
	for c := range found {
		g.Go(func() error { return f.surveyColumn(ctx, c, &found[c], told) })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found, func(d Damage) bool { return !d.Missing && len(d.Blocks) == 0 }), nil
}

func (f *File) surveyColumn(ctx context.Context, c int, d *Damage, told func(int64)) error {
	*d = Damage{Column: c, Name: f.set.ColumnName(c), Path: f.columnPath(c)}
	buf := make([]byte, parity.BlockSize)
	for b := range f.set.Parity.Blocks {
		if err := ctx.Err(); err != nil {
			return err
		}
		id := blockID{c, b}
		data := buf[:f.blockSize(id)]
		if len(data) == 0 {
			break
		}
		err := f.repair.raw(f, id, data)
		var missing *MissingError
		switch {
		case errors.As(err, &missing):
			d.Missing = true
			return nil // nothing of it is behind that
		case err != nil:
			f.repair.note(id, err)
			d.Blocks = append(d.Blocks, b)
		}
		told(int64(len(data)))
	}
	return nil
}

func (f *File) columnPath(c int) string {
	if c >= f.set.Parity.Data {
		if x := f.columnList()[c-f.set.Parity.Data]; x != nil {
			return x.path
		}
		return ""
	}
	begin, _ := f.set.column(c)
	for _, x := range f.extents {
		if x.from <= begin && begin < x.to && x.part > 0 {
			return x.path
		}
	}
	return ""
}

// CheckParity reads what only parity is good for, so that [File.Spare] knows.
func (f *File) CheckParity(ctx context.Context) error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.repair == nil {
		return nil
	}
	var g errgroup.Group
	g.SetLimit(atOnce)
	for c := range f.columnList() {
		g.Go(func() error {
			var d Damage
			return f.surveyColumn(ctx, f.set.Parity.Data+c, &d, func(int64) {})
		})
	}
	return g.Wait()
}

// Repaired lists what was damaged and could be computed all the same, by file.
func (f *File) Repaired() []error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.repair == nil {
		return nil
	}
	f.repair.mu.Lock()
	defer f.repair.mu.Unlock()
	count := make(map[int]int)
	for id := range f.repair.bad {
		count[id.column]++
	}
	var all []error
	for c := range f.set.Parity.Data + f.set.Parity.Parity {
		if count[c] > 0 {
			all = append(all, &PartError{f.columnPath(c), fmt.Errorf("%s: %d damaged blocks of 1 MiB: replace the medium", f.set.ColumnName(c), count[c])})
		}
	}
	return all
}
