package relocate

import (
	"cmp"
	"context"
	"slices"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/written"
)

// stages orders the slots: what is passed down to subcharts before what is not,
// keys of the values before keys that only templates know, registries before
// the rest, since a registry that is set hides what stands behind it.
func (c *candidates) stages() [][]*slot {
	known := slices.Concat(c.leaves, c.odd)
	guessed := slices.Concat(c.empty, c.absent)
	global := func(s *slot) bool { return s.path.global() }
	local := func(s *slot) bool { return !global(s) }
	registry := func(s *slot) bool { return kindOf(s.path) == registryKey }
	other := func(s *slot) bool { return !registry(s) }
	host := func(s *slot) bool { _, rest := written.CutHost(s.was()); return rest == "" || registry(s) }
	return [][]*slot{
		pick(slices.Concat(known, guessed), global, registry),
		pick(known, global, other),
		pick(c.leaves, local, host),
		slices.Concat(pick(c.leaves, local), pick(c.empty, local, registry)),
		pick(c.odd, local),
		pick(c.absent, local, registry),
		slices.Concat(pick(guessed, global, other), pick(guessed, local, other)),
	}
}

// pick returns the slots that pass all tests.
func pick(slots []*slot, tests ...func(*slot) bool) []*slot {
	var list []*slot
	for _, s := range slots {
		if !slices.ContainsFunc(tests, func(ok func(*slot) bool) bool { return !ok(s) }) {
			list = append(list, s)
		}
	}
	return list
}

// A solver looks for a choice of values that moves the spots.
type solver struct {
	*prober
	mark   func([]*slot)  // gives slots their sentinels
	below  overlay        // values that are settled
	chosen choice         // values over them
	now    *view          // the render with both
	keys   [][]string     // the keys that move each spot
	order  map[string]int // the batch in which a key was chosen
	batch  int
	again  map[int]bool // spots that a further round may move
}

func newSolver(p *prober, mark func([]*slot), out *chart.Output) *solver {
	s := &solver{
		prober: p, mark: mark, below: overlay{}, chosen: choice{}, now: &view{out: out},
		order: map[string]int{}, again: map[int]bool{}, keys: make([][]string, len(p.spots)),
	}
	for _, at := range p.spots {
		s.now.reads = append(s.now.reads, at.finding.Raw)
	}
	return s
}

// overlay is what is settled, with more choices over it.
func (s *solver) overlay(more choice) overlay {
	return s.below.with(s.chosen.with(more).overlay())
}

// right tells whether a spot reads its target.
func (s *solver) right(i int) bool { return s.now.reads[i] == s.spots[i].want }

// open lists the spots that do not.
func (s *solver) open() []int {
	var list []int
	for i := range s.spots {
		if !s.right(i) {
			list = append(list, i)
		}
	}
	return list
}

// solve runs the stages until every spot reads its target or nothing gains any
// more. The first round leaves slots alone that different spots want different
// values for; further rounds look at those spots, and at those that an earlier
// round moved to a wrong place.
func (s *solver) solve(ctx context.Context, stages [][]*slot) error {
	for round := 0; ; round++ {
		before := s.batch
		for _, slots := range stages {
			open := s.open()
			if round > 0 {
				open = slices.DeleteFunc(open, func(i int) bool { return !s.again[i] })
			}
			if err := s.stage(ctx, slots, open, round > 0); err != nil {
				return err
			}
		}
		if round > 0 && s.batch == before {
			return nil
		}
		if !slices.ContainsFunc(s.open(), func(i int) bool { return s.again[i] }) {
			return nil
		}
	}
}

// alone tries slots that may move a spot only while others are not set: those that
// the templates of the spot read. Of any two of them, one is set without the other in
// one of the renders.
func (s *solver) alone(ctx context.Context, slots []*slot, reads func(template string) func(*slot) bool) error {
	done := map[string]bool{}
	for _, i := range s.open() {
		at := s.spots[i].finding
		_, altering := s.altering[at.Position]
		if done[at.Template] || altering || s.now.reads[i] != at.Raw {
			continue
		}
		done[at.Template] = true
		near := pick(slots, reads(at.Template))
		for bit := 1; bit < len(near); bit *= 2 {
			for _, want := range []int{0, bit} {
				var part []*slot
				for n, c := range near {
					if n&bit == want {
						part = append(part, c)
					}
				}
				open := slices.DeleteFunc(s.open(), func(i int) bool { return s.spots[i].finding.Template != at.Template })
				if err := s.stage(ctx, part, open, false); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// stage tries slots for the spots of open.
func (s *solver) stage(ctx context.Context, slots []*slot, open []int, disputed bool) error {
	slots = pick(slots, func(c *slot) bool { _, used := s.chosen[c]; return !used })
	open = slices.DeleteFunc(slices.Clone(open), func(i int) bool { return s.now.reads[i] == "" }) // what is gone already
	if len(slots) == 0 || len(open) == 0 {
		return nil
	}
	s.mark(slots)
	found, err := s.observe(ctx, s.overlay, slots, open)
	if err != nil {
		return err
	}
	var proposals []proposal
	for _, p := range found {
		if p.disputed && !disputed {
			for _, i := range p.all {
				s.again[i] = true
			}
			continue
		}
		proposals = append(proposals, p)
	}
	slices.SortStableFunc(proposals, func(a, b proposal) int {
		return cmp.Or(cmp.Compare(len(b.spots), len(a.spots)), cmp.Compare(len(a.slot.path), len(b.slot.path)))
	})
	return s.adopt(ctx, proposals)
}

// adopt takes the proposals over if they do what the sentinels promised: all
// together, or else those halves of them that gain something and lose nothing.
func (s *solver) adopt(ctx context.Context, proposals []proposal) error {
	if len(proposals) == 0 {
		return nil
	}
	useful, err := s.try(ctx, proposals)
	switch {
	case err != nil || len(useful) == len(proposals):
		return err
	case len(useful) > 0:
		return s.adopt(ctx, useful) // the others change nothing that is wanted
	case len(proposals) == 1:
		return nil
	}
	half := len(proposals) / 2
	if err := s.adopt(ctx, proposals[:half]); err != nil {
		return err
	}
	return s.adopt(ctx, proposals[half:])
}

// try renders with the proposals. When every one of them moves a spot and no
// spot is lost, they are kept. It returns those that move a spot, none when the
// chart does not take them together.
func (s *solver) try(ctx context.Context, proposals []proposal) ([]proposal, error) {
	more := choice{}
	for _, p := range proposals {
		more[p.slot] = p.value
	}
	v, err := s.read(ctx, s.overlay(more))
	if err != nil || v == nil || s.loses(v) {
		return nil, err
	}
	if slices.ContainsFunc(proposals, func(p proposal) bool { return !p.slot.isRegistry() }) {
		if x := s.alters(v, more.overlay()); x != nil {
			if len(proposals) == 1 {
				s.leave(proposals[0], x, v)
			}
			return nil, nil
		}
	}
	var useful []proposal
	for _, p := range proposals {
		if slices.ContainsFunc(p.spots, func(i int) bool { return v.reads[i] == s.spots[i].want }) {
			useful = append(useful, p)
		}
	}
	if len(useful) == len(proposals) {
		s.keep(useful, v)
	}
	return useful, nil
}

// leave notes what else a proposal would do. When the references that it would move
// stand elsewhere then, it adds something, and moves nothing.
func (s *solver) leave(p proposal, x *chart.Difference, v *view) {
	elsewhere := map[string]bool{}
	for _, f := range v.out.Findings() {
		if _, ok := s.now.out.Lookup(f.Position); !ok {
			elsewhere[f.Raw] = true
		}
	}
	for _, i := range p.all {
		if at := s.spots[i].finding; !elsewhere[at.Raw] {
			s.altering[at.Position] = altering{p.slot.path.String(), does(*x)}
		}
	}
}

// keep takes proposals over for good.
func (s *solver) keep(proposals []proposal, v *view) {
	s.batch++
	more := choice{}
	for _, p := range proposals {
		more[p.slot] = p.value
		key := p.slot.path.String()
		s.order[key] = s.batch
		for _, i := range p.spots {
			if !slices.Contains(s.keys[i], key) {
				s.keys[i] = append(s.keys[i], key)
			}
		}
	}
	for i := range s.spots {
		if v.reads[i] != s.now.reads[i] {
			s.again[i] = true
		}
	}
	s.chosen, s.now = s.chosen.with(more), v
}
