package media

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/progress"
)

// drive writes one part after the other onto media that are changed in between. A
// medium that fails is asked for again. Without Swap, all go onto the medium that
// is there.
func (m *Media) drive(ctx context.Context, folder string, list []int, fill Fill) (all []Written, err error) {
	m.outline(folder)
	swap := Swap{Of: m.Count(), Folder: folder, Cached: m.NoReadBack}
	for _, k := range list {
		path := filepath.Join(folder, m.name(k))
		swap.Next, swap.Number, swap.Size = m.name(k), k, m.size(k)+m.small()
		if m.Beside != nil {
			swap.Size += m.Beside.Size()
		}
		if m.Swap != nil && m.state.Sums[swap.Next] != "" && m.gone(path) {
			continue // an earlier run of the same set has written it, and its medium is elsewhere
		}
		for first := true; ; first = false {
			if m.Swap != nil && (!first || swap.Done != "") {
				resume := progress.Pause(m.Progress)
				err := m.Swap(ctx, swap)
				resume()
				if err != nil {
					if ctx.Err() != nil {
						err = fault.WithHint(err, "what is written stays: the same command goes on with "+swap.Next)
					}
					return all, err
				}
			}
			w, err := m.one(ctx, folder, k, fill)
			if err == nil {
				all = append(all, *w)
				break
			}
			swap.Failed = err
			if m.Swap == nil || !otherMedium(err) || ctx.Err() != nil {
				return all, m.medium(k, path, err)
			}
		}
		swap.Done, swap.Failed = swap.Next, nil
	}
	return all, nil
}

// An Outline is what people should know before they change media.
type Outline struct {
	Parts, Parity int
	Written       int    // of all these, by an earlier run
	Room          int64  // bytes that a medium has to have at most
	Folder        string // where they are mounted, one after the other
	Scratch       int64  // bytes that parity takes meanwhile in State, at most; 0: none
	State         string
}

func (m *Media) outline(folder string) {
	if m.Swap == nil || m.Outline == nil {
		return
	}
	o := Outline{Parts: len(m.Set.Parts), Parity: m.Count() - len(m.Set.Parts), Folder: folder, Scratch: m.scratch(), State: m.State}
	for k := range m.Count() {
		o.Room = max(o.Room, m.size(k+1)+m.small())
		if m.state.Sums[m.name(k+1)] != "" {
			o.Written++
		}
	}
	defer progress.Pause(m.Progress)()
	m.Outline(o)
}

// otherMedium reports whether another medium may do better.
func otherMedium(err error) bool {
	var (
		same  *SameError
		usage *fault.UsageError // parts of another bundle
	)
	return ofMedium(err) || errors.As(err, &same) || errors.As(err, &usage)
}

func (m *Media) gone(path string) bool {
	_, err := os.Lstat(path)
	_, partial := os.Lstat(path + ".partial")
	return err != nil && partial != nil
}

// SameError says that the medium was not changed.
type SameError struct{ Folder, Name string }

func (e *SameError) Error() string {
	return e.Folder + ": the medium with " + e.Name + " is still there"
}

// one writes one part onto the medium that is in the drive.
func (m *Media) one(ctx context.Context, folder string, k int, fill Fill) (w *Written, err error) {
	defer func() { err = m.complete(err, folder) }()
	path := filepath.Join(folder, m.Set.PartName(k))
	c, err := m.makesWay(folder)
	if err != nil {
		return nil, err
	}
	for other := range m.Count() {
		name := m.name(other + 1)
		if _, err := os.Lstat(filepath.Join(folder, name)); err == nil && other+1 != k && m.Swap != nil && len(c.old) == 0 {
			return nil, &SameError{folder, name}
		}
	}
	if err := m.roomFor(folder, []int{k}, &c); err != nil {
		return nil, err
	}
	if err := m.clear(folder, c); err != nil {
		return nil, err
	}
	if err := m.writeBeside(ctx, folder); err != nil {
		return nil, err
	}
	if k > len(m.Set.Parts) {
		return m.oneParity(ctx, folder, k-len(m.Set.Parts))
	}
	if w = m.kept(ctx, k, path); w == nil {
		m.step(m.Filling, m.size(k))
		commit, err := m.fill(ctx, k, path, fill)
		m.step(m.proving(), 0)
		if err == nil {
			err = commit()
		}
		if err != nil {
			return nil, err
		}
		if w, err = m.readBack(ctx, k, path); err != nil {
			return nil, err
		}
	}
	if m.Set.Parity != nil {
		m.step("computing parity", 0)
	}
	if err := m.addParity(ctx, k, path); err != nil {
		return nil, err
	}
	return w, m.beside(ctx, folder, w)
}
