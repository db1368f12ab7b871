package rewrite

import (
	"cmp"
	"slices"
	"strings"
)

// An edit replaces the bytes from, to of a text. raws are the lines of the map that
// it is made for.
type edit struct {
	from, to int
	text     string
	raws     []string
}

// apply carries out edits that do not overlap.
func apply(text string, edits []edit) string {
	if len(edits) == 0 {
		return text
	}
	edits = slices.Clone(edits)
	slices.SortStableFunc(edits, func(a, b edit) int { return cmp.Compare(a.from, b.from) })
	var b strings.Builder
	done := 0
	for _, e := range edits {
		b.WriteString(text[done:e.from])
		b.WriteString(e.text)
		done = e.to
	}
	b.WriteString(text[done:])
	return b.String()
}

// overlap tells whether two edits touch the same bytes.
func overlap(edits []edit) bool {
	sorted := slices.Clone(edits)
	slices.SortStableFunc(sorted, func(a, b edit) int { return cmp.Compare(a.from, b.from) })
	for i := 1; i < len(sorted); i++ {
		if sorted[i].from < sorted[i-1].to {
			return true
		}
	}
	return false
}

// raws are the lines of the map that edits are made for.
func raws(edits []edit) (all []string) {
	for _, e := range edits {
		all = append(all, e.raws...)
	}
	return all
}

// moved shifts edits of a part to where the part begins.
func moved(edits []edit, by int) []edit {
	for i := range edits {
		edits[i].from += by
		edits[i].to += by
	}
	return edits
}
