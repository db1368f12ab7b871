package media

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/progress"
	"bundle/layout/parts"
)

// What is replaced may be the only copy of what a site runs, so it is kept until the new
// bundle is complete: in a folder beside it, NAME.replaced, where it can be read, and
// into which it goes without a byte being copied. Where a medium has no room for both,
// it is removed first, which is said before.

// replacedSuffix is what the name of that folder ends with.
const replacedSuffix = ".replaced"

// A clearing is what has to go from a folder.
type clearing struct {
	old   []string // files, that which tells the most last
	whole bool     // they are all that there is of another bundle, as far as can be seen
	first bool     // there is no room for both
}

// makesWay decides what becomes of what is in the way in a folder.
func (m *Media) makesWay(folder string) (clearing, error) {
	old, err := m.makeWay(folder)
	if err != nil || len(old) == 0 {
		return clearing{}, err
	}
	there, _, err := m.setIn(folder)
	return clearing{old: old, whole: m.whole(there)}, err
}

// whole reports whether all parts of another set are there. Of media that come one
// after the other, only one can be looked at.
func (m *Media) whole(there *parts.Set) bool {
	if there == nil {
		return false
	}
	n := 0
	for k, p := range there.Parts {
		if slices.ContainsFunc(m.Folders, func(folder string) bool {
			st, err := os.Lstat(filepath.Join(folder, there.PartName(k+1)))
			return err == nil && st.Size() == p.Size
		}) {
			n++
		}
	}
	return n > 0 && (n == len(there.Parts) || m.State != "")
}

// clear takes away what is in the way. What is killed in between goes on: set.json is
// the last to go.
func (m *Media) clear(folder string, c clearing) error {
	if len(c.old) == 0 {
		return nil
	}
	aside := m.path(folder, replacedSuffix)
	_, err := os.Lstat(filepath.Join(aside, m.Set.Name+parts.SetSuffix))
	kept := err == nil // an older one, which a run put there that did not end
	switch {
	case c.first:
		progress.Tell(m.Progress, fmt.Sprintf("%s: there is no room for the new bundle beside the old one, %s, which is removed first", filepath.Clean(folder), m.Set.Name))
		return m.remove(c.old)
	case kept && !c.whole, !slices.Contains(c.old, m.path(folder, parts.SetSuffix)):
		return m.remove(c.old) // what a run left that did not end
	case kept:
		if err := m.dropReplaced(folder); err != nil {
			return err
		}
	}
	if err := os.Mkdir(aside, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	// A link there would lead the old bundle to wherever the medium's maker wanted it.
	if st, err := os.Lstat(aside); err != nil || !st.IsDir() {
		return cmp.Or(err, error(&fault.UsageError{What: aside + ": this is no folder", Advice: "what is replaced is kept there until the new bundle is complete: remove it"}))
	}
	for _, path := range c.old {
		if err := os.Rename(path, filepath.Join(aside, filepath.Base(path))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// bringBack undoes clear, where nothing new has been written.
func (m *Media) bringBack(folder string, c clearing) {
	aside := m.path(folder, replacedSuffix)
	for _, path := range c.old {
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			_ = os.Rename(filepath.Join(aside, filepath.Base(path)), path) // what stays there is told
		}
	}
	_ = os.Remove(aside)
}

// folders are all that something is written to.
func (m *Media) folders() []string {
	all := []string{filepath.Clean(m.stateFolder())}
	for _, folder := range m.Folders {
		all = append(all, filepath.Clean(folder))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// replacedIn are the folders with what the new bundle replaces.
func (m *Media) replacedIn() (all []string) {
	for _, folder := range m.folders() {
		if st, err := os.Lstat(m.path(folder, replacedSuffix)); err == nil && st.IsDir() {
			all = append(all, m.path(folder, replacedSuffix))
		}
	}
	return all
}

// complete removes what is replaced, once the new bundle is on all media that are
// there; and says of an error where it is still to be had.
func (m *Media) complete(err error, folders ...string) error {
	if err != nil {
		return m.tellReplaced(err)
	}
	for _, folder := range folders {
		if err := m.dropReplaced(folder); err != nil {
			return err
		}
	}
	return nil
}

func (m *Media) tellReplaced(err error) error {
	kept := m.replacedIn()
	if err == nil || len(kept) == 0 {
		return err
	}
	hint := "what was there before is whole, in " + strings.Join(kept, ", ") + ",\nuntil the new bundle is complete"
	if h := fault.Hint(err); h != "" {
		hint = h + "\n" + hint
	}
	return fault.WithHint(err, hint)
}

// dropReplaced removes the files of a bundle in that folder, and the folder, if nothing
// else is in it.
func (m *Media) dropReplaced(folder string) error {
	aside := m.path(folder, replacedSuffix)
	b, err := parts.ReadFile(filepath.Join(aside, m.Set.Name+parts.SetSuffix), parts.MaxSetSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	there, err := parts.ParseSet(b)
	if err != nil || there.Name != m.Set.Name {
		return nil // somebody else's
	}
	for _, name := range namesOf(there) {
		for _, name := range []string{name, name + ".partial"} {
			err := os.Remove(filepath.Join(aside, name))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if err == nil {
				m.note(filepath.Join(folder, name))
			}
		}
	}
	_ = os.Remove(aside)
	return nil
}
