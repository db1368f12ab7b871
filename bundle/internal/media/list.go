package media

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bundle/bundle/internal/disk"
	"bundle/bundle/internal/lazy"
	"bundle/layout/parts"
)

// beside notes a part and writes the list onto its medium.
func (m *Media) beside(ctx context.Context, folder string, w *Written) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state.Sums[filepath.Base(w.Path)] = w.SHA256
	if m.State != "" {
		if err := errors.Join(m.keepState(), m.prologue(ctx, m.State), m.list(ctx, m.State)); err != nil {
			return err
		}
	}
	return m.list(ctx, folder)
}

// keepState writes down what the next run has to know. It is called with mu held.
func (m *Media) keepState() error {
	m.state.States = m.proof.Snapshot()
	b, err := json.Marshal(m.state)
	if err != nil {
		return err
	}
	return disk.WriteFile(m.path(m.State, stateSuffix), b)
}

// list writes what sha256sum reads: the parts that are known, and the files beside
// them.
func (m *Media) list(ctx context.Context, folder string) error {
	lines := maps.Clone(m.state.Sums)
	for _, suffix := range []string{parts.HeadSuffix, parts.SetSuffix} {
		sum, err := parts.HashFile(ctx, m.path(folder, suffix))
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

// leftover matches what follows a dot and the name of the bundle in the name of a
// file that a killed run was writing, see disk.WriteFile.
var leftover = lazy.Regexp(`^\.(head|set\.json|sha256|blocks|state)\.[A-Z2-7]{26}$`)

// sweep removes small files that a killed run left half written.
func (m *Media) sweep(folder string) error {
	names, err := filepath.Glob(filepath.Join(escape(folder), "."+escape(m.Set.Name)+".*"))
	if err != nil {
		return err
	}
	for _, name := range names {
		rest := strings.TrimPrefix(filepath.Base(name), "."+m.Set.Name)
		if leftover().MatchString(rest) {
			if err := os.Remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// escape takes the meaning from characters that filepath.Glob knows.
func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}
