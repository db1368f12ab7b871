package relocate

import (
	"cmp"
	"context"
	"slices"
)

// prune drops keys that do nothing, one at a time, and returns the others. A
// spot that was right must stay right.
//
// The last batch of keys needs no test unless it has guesses: before it, its
// spots were wrong with all the other keys in place, and a key that values.yaml
// has falls back to its own default, not to another key.
func (s *solver) prune(ctx context.Context, slots []*slot) (overlay, error) {
	guessed := map[string]bool{}
	for _, c := range slots {
		if c.text == "" {
			guessed[c.path.String()] = true
		}
	}
	all := s.overlay(nil)
	if len(all) < 2 {
		return all, nil
	}
	keys := slices.DeleteFunc(sortedKeys(all), func(k string) bool {
		return s.order[k] == s.batch && !guessed[k]
	})
	slices.SortStableFunc(keys, func(a, b string) int {
		return cmp.Or(cmp.Compare(s.order[a], s.order[b]), -cmp.Compare(len(all[a].path), len(all[b].path)))
	})
	for _, key := range keys {
		fewer := all.without(key)
		v, err := s.read(ctx, fewer)
		if err != nil {
			return nil, err
		}
		if v != nil && !s.loses(v) {
			all, s.now = fewer, v
			s.forget(key)
		}
	}
	return all, nil
}

// loses tells whether a spot that is right is not so in v.
func (s *solver) loses(v *view) bool {
	for i := range s.spots {
		if s.right(i) && v.reads[i] != s.spots[i].want {
			return true
		}
	}
	return false
}

// forget takes a key from the spots that it moved.
func (s *solver) forget(key string) {
	for i, keys := range s.keys {
		s.keys[i] = slices.DeleteFunc(keys, func(k string) bool { return k == key })
	}
}

// attribute fills in the keys of spots that are right without any key on
// record: the one they were moved by turned out to be superfluous, or they came
// along with others.
func (s *solver) attribute(ctx context.Context, o overlay, mark func([]*slot)) error {
	var open []int
	for i := range s.spots {
		if s.right(i) && len(s.keys[i]) == 0 && s.spots[i].finding.Raw != s.spots[i].want {
			open = append(open, i)
		}
	}
	if len(open) == 0 {
		return nil
	}
	var slots []*slot
	for _, key := range sortedKeys(o) {
		if text, ok := o[key].value.(string); ok {
			slots = append(slots, &slot{path: o[key].path, text: text, to: len(text)})
		}
	}
	mark(slots)
	found, err := s.observe(ctx, func(c choice) overlay { return o.with(c.overlay()) }, slots, open)
	if err != nil {
		return err
	}
	for _, p := range found {
		for _, i := range p.all {
			s.keys[i] = append(s.keys[i], p.slot.path.String())
		}
	}
	return nil
}
