package relocate

import (
	"context"
	"maps"
	"slices"
	"strings"

	"bundle/bundle/internal/written"
)

// A target may give an image another path: all of it in one part, or a name that the
// user chose. Where registry and path are two values, no value for one of them makes
// the reference read its target. So the paths are set first, which makes references
// that only a registry is missing from, and the stages do the rest.

// rename moves spots that want another path. What gains nothing in the end is taken
// back, and all of it where a reference would come to stand at a wrong place: one that
// shares the registry, but has its path from elsewhere.
func (s *solver) rename(ctx context.Context, slots []*slot, stages [][]*slot) (err error) {
	old := *s
	old.keys, old.again = slices.Clone(s.keys), maps.Clone(s.again)
	for i := range old.keys {
		old.keys[i] = slices.Clone(old.keys[i])
	}
	proposals, wants, err := s.renames(ctx, slots)
	if err != nil || len(proposals) == 0 {
		return err
	}
	defer func() {
		if err != nil || s.misplaces(old.now) {
			*s = old
		}
	}()
	final := slices.Clone(s.spots)
	for i, want := range wants {
		s.spots[i].want = want
	}
	err = s.adopt(ctx, proposals)
	copy(s.spots, final)
	if err != nil || s.batch == old.batch {
		return err
	}
	for i := range stages {
		stages[i] = pick(stages[i], func(c *slot) bool { return !s.sets(c.path) })
	}
	if err := s.solve(ctx, stages); err != nil {
		return err
	}
	return s.takeBack(ctx, proposals)
}

// renames proposes values for paths, and says what the spots read with them. A value
// that several images share is left alone.
func (s *solver) renames(ctx context.Context, slots []*slot) (list []proposal, wants map[int]string, err error) {
	base := commonBase(s.spots)
	paths := map[int]string{} // spot → the path that it wants
	for _, i := range s.open() {
		raw, final := written.Cut(s.spots[i].finding.Raw), written.Cut(s.spots[i].final)
		path, below := strings.CutPrefix(final.Repository(), base+"/")
		// Another tag too may have no value: then the name alone leads nowhere.
		if below && base != "" && path != raw.Path && final.Tag == raw.Tag {
			paths[i] = path
		}
	}
	slots = pick(slots, func(c *slot) bool { return !s.sets(c.path) })
	if len(paths) == 0 || len(slots) == 0 {
		return nil, nil, nil
	}
	markPaths(slots)
	sentinels := choice{}
	for _, c := range slots {
		sentinels[c] = c.sentinel
	}
	v, err := s.read(ctx, s.overlay(sentinels))
	if err != nil || v == nil {
		return nil, nil, err
	}
	wants = map[int]string{}
	for _, c := range slots {
		p := proposal{slot: c}
		for i := range s.spots {
			before, after, found := strings.Cut(v.reads[i], c.sentinel)
			if !found {
				continue
			}
			path, renamed := paths[i]
			if !renamed || p.value != "" && p.value != path || after != written.Cut(s.spots[i].finding.Raw).Suffix() {
				p.disputed = true
				break
			}
			p.value, p.spots, p.all = path, append(p.spots, i), append(p.all, i)
			wants[i] = before + path + after
		}
		if p.value != "" && !p.disputed {
			list = append(list, p)
		}
	}
	return list, wants, nil
}

// sets tells whether a value is chosen for a key.
func (s *solver) sets(p path) bool {
	for c := range s.chosen {
		if c.path.String() == p.String() {
			return true
		}
	}
	return false
}

// takeBack drops the paths of references that did not come to their targets.
func (s *solver) takeBack(ctx context.Context, proposals []proposal) error {
	fewer := maps.Clone(s.chosen)
	for _, p := range proposals {
		if !slices.ContainsFunc(p.spots, s.right) {
			key := p.slot.path.String()
			delete(fewer, p.slot)
			s.forget(key)
			for _, i := range p.spots {
				s.reached[s.spots[i].finding.Position] = key
			}
		}
	}
	if len(fewer) == len(s.chosen) {
		return nil
	}
	s.chosen = fewer
	v, err := s.read(ctx, s.overlay(nil))
	if v != nil {
		s.now = v
	}
	return err
}

// misplaces tells whether a spot is now neither at its target nor where it was.
func (s *solver) misplaces(before *view) bool {
	for i := range s.spots {
		if !s.right(i) && s.now.reads[i] != before.reads[i] {
			return true
		}
	}
	return false
}

// commonBase is what all targets are below: the registry, and folders in it. It is
// empty where they have no registry in common.
func commonBase(spots []spot) string {
	var base []string
	for i, s := range spots {
		parts := strings.Split(written.Cut(s.final).Repository(), "/")
		parts = parts[:len(parts)-1]
		if i == 0 {
			base = parts
		}
		same := 0
		for same < min(len(base), len(parts)) && base[same] == parts[same] {
			same++
		}
		base = base[:same]
	}
	return strings.Join(base, "/")
}

// pathSlots finds values with a speaking key that are the path of a reference, or the
// end of one: with a tag behind it or without, and no registry in front.
func pathSlots(values map[string]any, raws []string, subcharts map[string]bool) []*slot {
	known := map[string]bool{}
	for _, raw := range raws {
		for path, more := written.Cut(raw).Path, true; more; {
			known[path] = true
			_, path, more = strings.Cut(path, "/")
		}
	}
	var list []*slot
	walk(nil, values, func(p path, v any) bool {
		text, _ := v.(string)
		if path := written.Cut(text).Path; known[path] && strings.HasPrefix(text, path) && kindOf(p) == imageKey {
			list = append(list, &slot{path: p, text: text, to: len(path)})
		}
		return !globalCopy(p, subcharts)
	})
	return list
}
