package media

import (
	"errors"
	"os"
	"path/filepath"

	"bundle/bundle/internal/fault"
	"bundle/layout"
)

// checkRoom asks each medium that is there for room. ways say what is in the way.
func (m *Media) checkRoom(ways map[string]*clearing) error {
	if m.Swap != nil {
		return nil // each is asked when it is in the drive
	}
	for i, list := range m.share() {
		if err := m.roomFor(m.Folders[i], list, ways[filepath.Clean(m.Folders[i])]); err != nil {
			return err
		}
	}
	return nil
}

// roomFor requires that some parts and what is beside them fit into a folder, if need be
// once that is gone which is in the way.
func (m *Media) roomFor(folder string, list []int, c *clearing) error {
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer f.Close()
	there := func(path string) int64 {
		if len(c.old) > 0 {
			return 0
		}
		return max(Allocated(path), Allocated(path+".partial"))
	}
	need := m.small()
	if m.Beside != nil && (len(list) > 0 || m.getsParity(folder)) {
		more, err := m.Beside.Need(folder)
		if err != nil {
			return err
		}
		need += more
	}
	gain := int64(0)
	for _, path := range c.old {
		gain += Allocated(path)
	}
	for _, k := range list {
		need += m.size(k) - there(filepath.Join(folder, m.name(k)))
	}
	if p := m.Set.Parity; p != nil && m.State == "" {
		for k := range p.Parity {
			if path := filepath.Join(folder, m.Set.ParityName(k+1)); m.parityFolder(k+1) == folder {
				need += m.Set.ParitySize() - there(path)
			}
		}
	}
	if need <= 0 {
		return nil
	}
	err = layout.CheckSpace(f, need)
	var space *layout.SpaceError
	if errors.As(err, &space) && gain > 0 {
		c.first = true
		if need -= gain; need <= 0 {
			return nil
		}
		err = layout.CheckSpace(f, need)
	}
	if errors.As(err, &space) {
		hint := "make room there, or give more folders with -o"
		if len(list) > 1 && len(m.Folders) == 1 {
			hint = "give several folders with -o; or --swap, to change media in one drive; or --part K, to write one part"
		}
		return fault.WithHint(err, hint)
	}
	return err
}

// scratch is how many bytes parity takes in the state folder until all of it is on its
// media: that of one round, and of the next while it is computed.
func (m *Media) scratch() int64 {
	if m.State == "" || m.Set.Parity == nil {
		return 0
	}
	return 2 * int64(m.Set.Parity.Parity) * m.Set.ParitySize()
}

// checkScratch finds out whether there is room for that, before the first part.
func (m *Media) checkScratch() error {
	if m.scratch() == 0 || len(m.state.Added) == len(m.Set.Parts) || m.parityWritten() {
		return nil
	}
	need := m.scratch()
	for _, suffix := range m.roundSuffixes() {
		need -= Allocated(m.round(m.state.Round, suffix))
	}
	f, err := os.Open(m.State)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := layout.CheckSpace(f, need); err != nil {
		return fault.WithHint(err, hintScratch)
	}
	return nil
}

const hintScratch = "parity over media that are changed takes that much room in the folder of --state"
