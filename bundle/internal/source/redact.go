package source

import (
	"fmt"

	"bundle/bundle/internal/fault"
)

// LeaveOut removes given values from the records of charts. A key that none of
// them has is a mistake: what it was to hide would travel.
func LeaveOut(charts []*Chart, all bool, keys []string) error {
	found := make(map[string]bool)
	for _, c := range charts {
		c.Record.LeaveOut(all, keys)
		for _, key := range c.Record.LeftOut {
			found[key] = true
		}
	}
	for _, key := range keys {
		if !all && !found[key] {
			return &fault.UsageError{
				What:   fmt.Sprintf("--redact %s: no value given has that key", key),
				Advice: "name keys of -f or --set as helm's --set does: a.b[0].c, dots in keys as \\.;\nthe chart's own defaults travel with the chart",
			}
		}
	}
	return nil
}
