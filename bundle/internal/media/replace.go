package media

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bundle/bundle/internal/fault"
	"bundle/layout"
	"bundle/layout/parts"
)

// A folder may hold what is not to be lost: files of no bundle, which are never
// replaced, and another bundle in parts, which is replaced with Force only. Parts of two
// bundles under one name deceive: what is replaced goes away before the first byte is
// written, all of it.

// makeWay decides what becomes of that which stands in a folder under the names of the
// set: old are the files of another set that may go.
func (m *Media) makeWay(folder string) (old []string, err error) {
	there, same, err := m.setIn(folder)
	if err != nil {
		return nil, err
	}
	known := make(map[string]bool)
	if there != nil {
		for _, name := range namesOf(there) {
			known[name] = true
		}
	}
	if err := m.refuseForeign(folder, known); err != nil || same || len(known) == 0 {
		return nil, err
	}
	if err := m.refuseOther(folder, there); err != nil {
		return nil, err
	}
	if len(there.Parts) == 0 && m.idOf(m.path(folder, parts.HeadSuffix)) == m.ID {
		return nil, nil // it is gone on with
	}
	for _, name := range namesOf(there) {
		if name == m.Set.Name {
			continue // a bundle in one file: it stays, or is replaced when the new one is complete
		}
		for _, path := range []string{filepath.Join(folder, name), filepath.Join(folder, name+".partial")} {
			if st, err := os.Lstat(path); err == nil && st.Mode().IsRegular() {
				old = append(old, path)
			}
			if strings.HasSuffix(path, ".partial") && layout.InUse(path) {
				return nil, fault.WithHint(fmt.Errorf("%s: %w", path, layout.ErrInUse), "wait until it has ended, or choose another folder with -o")
			}
		}
	}
	return old, m.refuseSources(folder, old)
}

// refuseSources refuses to remove what is being read.
func (m *Media) refuseSources(folder string, old []string) error {
	for _, path := range old {
		st, err := os.Stat(path)
		if err != nil {
			continue
		}
		for _, src := range m.Sources {
			if other, err := os.Stat(src); err == nil && os.SameFile(st, other) {
				return &fault.UsageError{
					What:   filepath.Clean(folder) + ": the parts that are read lie there, and others cannot go beside them",
					Advice: "choose another folder with -o",
				}
			}
		}
	}
	return nil
}

// setIn reads which set a folder has under the name, and whether it is this one. Where
// there is but the begin of a bundle, it stands for a set without a part.
func (m *Media) setIn(folder string) (there *parts.Set, same bool, err error) {
	path := m.path(folder, parts.SetSuffix)
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return m.withoutSet(folder), false, nil
	case err != nil:
		return nil, false, err
	case !st.Mode().IsRegular() || st.Size() > parts.MaxSetSize:
		return nil, false, nil // then it is foreign
	}
	b, err := parts.ReadFile(path, parts.MaxSetSize)
	if err != nil {
		return nil, false, err
	}
	if there, err = parts.ParseSet(b); err != nil || there.Name != m.Set.Name {
		return nil, false, nil // then it is foreign
	}
	same = there.ID == m.Set.ID && there.Size == m.Set.Size && slices.EqualFunc(there.Parts, m.Set.Parts, samePart)
	return there, same, nil
}

// withoutSet is what a run leaves that is killed before it has written set.json: a head.
// A bundle in one file under the name of the only part counts as a set, too.
func (m *Media) withoutSet(folder string) *parts.Set {
	switch {
	case m.Set.Whole() && m.idOf(m.path(folder, "")) != "":
		return &parts.Set{Name: m.Set.Name, Parts: make([]parts.Part, 1)}
	case m.idOf(m.path(folder, parts.HeadSuffix)) != "":
		return &parts.Set{Name: m.Set.Name}
	}
	return nil
}

func (m *Media) idOf(path string) string {
	if m.IDOf == nil {
		return ""
	}
	return m.IDOf(path)
}

// refuseForeign refuses files under names of the set that belong to no set.
func (m *Media) refuseForeign(folder string, known map[string]bool) error {
	for _, name := range namesOf(m.Set) {
		if m.Only != nil && len(m.Only) == 0 && slices.ContainsFunc(m.Set.Parts, func(p parts.Part) bool { return p.Name == name }) {
			continue // parity alone is written, beside what may be the bundle
		}
		path := filepath.Join(folder, name)
		st, err := os.Lstat(path)
		if err != nil || known[name] && st.Mode().IsRegular() || st.Mode().IsRegular() && st.Size() == 0 || name == m.Set.Name+stateSuffix {
			continue
		}
		return &fault.UsageError{
			What:   fmt.Sprintf("%s is there already, and nothing beside it says that it belongs to a bundle: it is not replaced", path),
			Advice: "move it away, or choose another folder or name with -o",
		}
	}
	return nil
}

// refuseOther refuses to replace another bundle, unless that was asked for. The same
// export in as many parts is no other: a run at another time, or with another key.
func (m *Media) refuseOther(folder string, there *parts.Set) error {
	id := m.idOf(m.path(folder, parts.HeadSuffix))
	if id == "" && m.Set.Whole() {
		id = m.idOf(m.path(folder, ""))
	}
	if m.Force || id == m.ID && id != "" && (len(there.Parts) == len(m.Set.Parts) || len(there.Parts) == 0) {
		return nil
	}
	about := "they cannot be read"
	if id != "" {
		about = fmt.Sprintf("id %s, %s; this one has id %s, %s", id, count(there), m.ID, count(m.Set))
	}
	return &fault.UsageError{
		What:   fmt.Sprintf("%s: there are parts of another bundle, or of other sizes, under this name (%s): they are not replaced", filepath.Clean(folder), about),
		Advice: "--force replaces all of them; another folder or name with -o leaves them as they are",
	}
}

func count(s *parts.Set) string {
	switch n := len(s.Parts); n {
	case 0:
		return "the begin alone"
	case 1:
		return "1 part"
	default:
		return fmt.Sprintf("%d parts", n)
	}
}

func samePart(a, b parts.Part) bool { return a.Offset == b.Offset && a.Size == b.Size }

const stateSuffix = ".state"

// namesOf are the files of a set on a medium; what tells the most comes last.
func namesOf(s *parts.Set) []string {
	names := []string{s.Name + stateSuffix, s.Name + parts.ListSuffix, s.Name + parts.BlocksSuffix}
	for k := range s.Parts {
		names = append(names, s.PartName(k+1))
	}
	if s.Parity != nil {
		for k := range s.Parity.Parity {
			names = append(names, s.ParityName(k+1))
		}
	}
	return append(names, s.Name+parts.HeadSuffix, s.Name+parts.SetSuffix)
}

// remove takes an old set away. What is killed in between goes on: set.json is the last.
func (m *Media) remove(old []string) error {
	for _, path := range old {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		m.note(path)
	}
	return nil
}

func (m *Media) note(path string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.removed = append(m.removed, path)
}

// Removed are the files of another set that had to go.
func (m *Media) Removed() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.removed)
}

// Names reports whether the set of a bundle that a folder has names a file.
func Names(folder, bundle, file string) bool {
	b, err := parts.ReadFile(filepath.Join(folder, bundle+parts.SetSuffix), parts.MaxSetSize)
	if err != nil {
		return false
	}
	set, err := parts.ParseSet(b)
	return err == nil && set.Name == bundle && slices.Contains(namesOf(set), file)
}
