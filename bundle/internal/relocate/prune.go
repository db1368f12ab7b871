package relocate

import (
	"context"
	"slices"
)

// prune drops keys that do nothing and returns the others. A spot that was right
// must stay right.
//
// Keys are tested one at a time, but for a shortcut that saves most renders: a
// key of values.yaml falls back to its own default, never to another key of its
// batch. So those of one batch are tested together, and only the keys that lose
// nothing then are looked at alone; those of the last batch need no test at
// all, since their spots were wrong with all other keys in place. With an error come
// the keys that are not yet dropped.
func (s *solver) prune(ctx context.Context, slots []*slot) (overlay, error) {
	all := s.overlay(nil)
	guessed := map[string]bool{}
	for _, c := range slots {
		if c.text == "" {
			guessed[c.path.String()] = true
		}
	}
	for batch := 1; batch <= s.batch; batch++ {
		var known, guesses []string
		for _, key := range sortedKeys(all) {
			switch {
			case s.order[key] != batch:
			case guessed[key]:
				guesses = append(guesses, key)
			default:
				known = append(known, key)
			}
		}
		if batch == s.batch {
			known = nil
			if len(all) == 1 {
				guesses = nil
			}
		}
		idle, err := s.idle(ctx, all, known)
		if err != nil {
			return all, err
		}
		for _, key := range append(idle, guesses...) {
			if all, err = s.drop(ctx, all, key); err != nil {
				return all, err
			}
		}
	}
	return all, nil
}

// idle returns those of keys that lose none of the spots they moved when all of
// keys are taken away.
func (s *solver) idle(ctx context.Context, all overlay, keys []string) ([]string, error) {
	if len(keys) < 2 {
		return keys, nil
	}
	v, err := s.read(ctx, all.without(keys...))
	if err != nil || v == nil {
		return keys, err
	}
	return slices.DeleteFunc(keys, func(key string) bool {
		for i := range s.spots {
			if slices.Contains(s.keys[i], key) && s.right(i) && v.reads[i] != s.spots[i].want {
				return true
			}
		}
		return false
	}), nil
}

// drop takes a key away if no spot is lost.
func (s *solver) drop(ctx context.Context, all overlay, key string) (overlay, error) {
	fewer := all.without(key)
	v, err := s.read(ctx, fewer)
	if err != nil || v == nil || s.loses(v) {
		return all, err
	}
	s.now = v
	s.forget(key)
	return fewer, nil
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
