package media

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"bundle/bundle/internal/disk"
	"bundle/layout/parts"
)

// beside notes a part and writes the list onto its medium.
func (m *Media) beside(folder string, w *Written) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state.Sums[m.Set.PartName(w.Part)] = w.SHA256
	if m.State != "" {
		m.state.States = m.proof.Snapshot()
		b, err := json.Marshal(m.state)
		if err != nil {
			return err
		}
		if err := disk.WriteFile(m.path(m.State, ".state"), b); err != nil {
			return err
		}
		if err := errors.Join(m.prologue(m.State), m.list(m.State)); err != nil {
			return err
		}
	}
	return m.list(folder)
}

// list writes what sha256sum reads: the parts that are known, and the files beside
// them.
func (m *Media) list(folder string) error {
	lines := maps.Clone(m.state.Sums)
	for _, suffix := range []string{parts.HeadSuffix, parts.SetSuffix} {
		sum, err := parts.HashFile(context.Background(), m.path(folder, suffix))
		if err != nil {
			return err
		}
		lines[m.Set.Name+suffix] = sum
	}
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		fmt.Fprintf(&text, "%s  %s\n", lines[name], name)
	}
	return disk.WriteFile(m.path(folder, parts.ListSuffix), []byte(text.String()))
}
