package image

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/remote"
)

// A MissingError lists several images that registries do not have, or do not give
// to this client.
type MissingError struct {
	images []missing
	wanted int // how many there are in all
}

type missing struct {
	want Want
	err  error
}

// isMissing tells what a registry says about one image alone from what ends
// everything.
func isMissing(err error) bool {
	var e *remote.Error
	return errors.As(err, &e) && slices.Contains([]remote.Kind{remote.NotFound, remote.Denied, remote.Auth}, e.Kind)
}

// joinMissing is the error for the images that are missing; one of them says more by
// itself.
func joinMissing(all []missing, wanted int) error {
	switch len(all) {
	case 0:
		return nil
	case 1:
		hint := "--exclude " + all[0].want.ref.String() + " leaves it out"
		var e *remote.Error
		if errors.As(all[0].err, &e) && e.Kind == remote.NotFound {
			hint = "a wrong tag, or one that was never published: " + hint
		}
		if h := fault.Hint(all[0].err); h != "" {
			hint = h + "\n" + hint
		}
		return fault.WithHint(all[0].err, hint)
	}
	return &MissingError{all, wanted}
}

// Error groups the images by the charts that they were seen in.
func (e *MissingError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d images cannot be had:", len(e.images), e.wanted)
	var charts []string
	lines := make(map[string][]string)
	for _, m := range e.images {
		chart := ""
		if len(m.want.found) > 0 {
			chart = m.want.found[0].Chart
		}
		if lines[chart] == nil {
			charts = append(charts, chart)
		}
		line := m.want.ref.String() + ": " + why(m.err)
		if seen := seenIn(m.want.found); seen != "" {
			line += " (" + seen + ")"
		}
		lines[chart] = append(lines[chart], line)
	}
	slices.Sort(charts)
	for _, chart := range charts {
		indent := "\n  "
		if len(charts) > 1 {
			if chart == "" {
				chart = "named by the user"
			}
			b.WriteString("\n  " + chart)
			indent = "\n    "
		}
		for _, line := range lines[strings.TrimPrefix(chart, "named by the user")] {
			b.WriteString(indent + line)
		}
	}
	return b.String()
}

// why is what a registry said, without the name that stands before it.
func why(err error) string {
	var e *remote.Error
	if errors.As(err, &e) {
		return e.Cause()
	}
	return err.Error()
}

// Fault is that of the single ones where they agree.
func (e *MissingError) Fault() (fault.Kind, string) {
	kind := fault.KindOf(e.images[0].err)
	hint := "a wrong tag, or one that was never published: --exclude REF leaves one out"
	for _, m := range e.images {
		var said *remote.Error
		if fault.KindOf(m.err) != kind {
			kind = fault.Failed
		}
		if errors.As(m.err, &said) && said.Hint != "" && !strings.Contains(hint, said.Hint) && said.Kind != remote.NotFound {
			hint = said.Hint + "\n" + hint
		}
	}
	return kind, hint
}

// Listed names the images one by one.
func (e *MissingError) Listed() []fault.Item {
	var all []fault.Item
	for _, m := range e.images {
		all = append(all, fault.Item{
			Subject: m.want.ref.String(), State: "missing", Reason: record.Printable(why(m.err)), Where: seenIn(m.want.found),
		})
	}
	return all
}
