package media

import "context"

// Beside are further files for each medium that gets a part. It is used by several
// goroutines.
type Beside interface {
	Size() int64                                    // bytes that they take
	Need(folder string) (int64, error)              // bytes that they still take there; an error where something is in the way
	Write(ctx context.Context, folder string) error // each whole or not at all; those that are there stay
}

// writeBeside writes what else each medium has.
func (m *Media) writeBeside(ctx context.Context, folder string) error {
	if m.Beside == nil {
		return nil
	}
	return m.Beside.Write(ctx, folder)
}

// getsParity reports whether parity is written into a folder after the parts.
func (m *Media) getsParity(folder string) bool {
	if m.Set.Parity == nil || m.State != "" {
		return false
	}
	for k := range m.Set.Parity.Parity {
		if m.parityFolder(k+1) == folder {
			return true
		}
	}
	return false
}
