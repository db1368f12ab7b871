package relocate

import (
	"context"
	"fmt"
	"strings"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/written"
)

// pins changes tags and digests where a target has others than the chart
// writes: digests that a choice of platforms changed, and names that the user
// gave. Nothing else ever touches a tag or a digest.
func (s *solver) pins(ctx context.Context, banned map[string]bool) error {
	for _, part := range []func(raw, final string) (was, want string){digestPart, tagPart} {
		s.below, s.chosen = s.overlay(nil), choice{}
		old := map[string]bool{}
		for i := range s.spots {
			at := &s.spots[i]
			if !s.right(i) || at.want == at.final {
				continue
			}
			if was, want := part(at.want, at.final); want != at.want && was != "" {
				old[was], at.want = true, want
			}
		}
		if len(old) == 0 {
			continue
		}
		values := chart.Merge(s.base, s.below.values(s.base))
		s.mark = markPins
		slots := pick(pinSlots(values, old), func(c *slot) bool { return !banned[c.path.String()] })
		if err := s.solve(ctx, [][]*slot{slots}); err != nil {
			return err
		}
	}
	s.below, s.chosen = s.overlay(nil), choice{}
	return nil
}

// digestPart returns the digest of ref, and ref with the digest of final.
func digestPart(ref, final string) (was, want string) {
	r, other := written.Cut(ref), written.Cut(final).Digest
	if r.Digest == "" || other == "" {
		return "", ref
	}
	was, r.Digest = r.Digest, other
	return was, r.String()
}

// tagPart returns the tag of ref, and final, of which the tag is what is left.
func tagPart(ref, final string) (was, want string) { return written.Cut(ref).Tag, final }

// pinSlots finds values that are or contain one of the old tags or digests; a
// digest also without its algorithm.
func pinSlots(values map[string]any, old map[string]bool) []*slot {
	var list []*slot
	walk(nil, values, func(p path, v any) bool {
		switch v := v.(type) {
		case map[string]any, []any:
			return true
		case string:
			for _, was := range sortedKeys(old) {
				if from := indexPin(v, was); from >= 0 {
					list = append(list, &slot{path: p, text: v, from: from, to: from + len(was)})
				} else if _, hex, ok := strings.Cut(was, ":"); ok && v == hex {
					list = append(list, &slot{path: p, text: v, to: len(v)})
				}
			}
		case float64, int, int64:
			// A tag that YAML reads as a number.
			if text := fmt.Sprint(v); old[text] {
				list = append(list, &slot{path: p, text: text, to: len(text)})
			}
		}
		return false
	})
	return list
}

// indexPin finds a tag or digest in a value: the whole value, or the end of a
// reference.
func indexPin(v, was string) int {
	if v == was {
		return 0
	}
	if strings.HasPrefix(was, "sha256:") {
		return strings.Index(v, was)
	}
	if before, ok := strings.CutSuffix(v, ":"+was); ok {
		return len(before) + 1
	}
	if before, _, ok := strings.Cut(v, "@"); ok {
		return indexPin(before, was)
	}
	return -1
}
