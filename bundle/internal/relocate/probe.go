package relocate

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"bundle/bundle/internal/chart"
)

// A spot is one position to be moved.
type spot struct {
	finding chart.Finding
	want    string // with tag and digest as the chart writes them
	final   string // the target; differs from want where tag or digest change
}

// A prober renders one chart again and again. It counts.
type prober struct {
	chart   *chart.Chart
	options chart.RenderOptions
	base    map[string]any // the values as templates see them
	spots   []spot
	stay    []chart.Finding // references that must stay as they are
	// reached are keys that show up at a position without moving it there; empty where
	// some value has something else stand there, and which one is not known.
	reached map[chart.Position]string
	// altering are keys that would move a position, and are not used.
	altering map[chart.Position]altering
	random   map[chart.Position]bool // what differs from one render to the next
	like     *chart.Output           // what positions are those of
	// occasions: probes look at upgrades and the like too; the proof always does.
	occasions bool
	renders   int
}

// maxTime limits all renders of one call together: each of a hundred may stay
// below the limit of one. A variable for the tests.
var maxTime = 10 * time.Minute

func limited(ctx context.Context, c *chart.Chart) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, maxTime, &chart.LimitError{Chart: c.Name(), What: "more than " + maxTime.String() + " in all renders"})
}

// maxRenders limits the renders of one derivation: there is no probing beyond it,
// but for the proof. A variable for the tests.
var maxRenders = 400

var errSpent = errors.New("as many renders as one derivation may have")

// spent tells whether a probe was not made because there were enough.
func spent(err error) bool { return errors.Is(err, errSpent) }

// strict renders as helm install does.
func (p *prober) strict(ctx context.Context, o overlay) (*chart.Output, error) {
	opt := p.options
	opt.Strict, opt.StubKeys = true, false
	return p.render(ctx, opt, o)
}

// check tells whether the chart refuses the values, as far as that can be told without
// a strict render. The output has nothing in it.
func (p *prober) check(ctx context.Context, o overlay) (*chart.Output, error) {
	opt := p.options
	opt.Strict, opt.Checks = false, true
	p.renders++
	opt.Values = chart.Merge(opt.Values, o.values(p.base))
	return p.chart.Render(ctx, opt)
}

// probe renders leniently and fast, until there were enough renders.
func (p *prober) probe(ctx context.Context, o overlay) (*chart.Output, error) {
	if p.renders >= maxRenders {
		return nil, errSpent
	}
	return p.lenient(ctx, o)
}

// lenient renders leniently, however many renders there were.
func (p *prober) lenient(ctx context.Context, o overlay) (*chart.Output, error) {
	opt := p.options
	opt.Strict, opt.StubKeys, opt.SameRandom = false, true, true
	return p.render(ctx, opt, o)
}

// anew renders leniently, and what is random is another than before.
func (p *prober) anew(ctx context.Context) (*chart.Output, error) {
	opt := p.options
	opt.Strict, opt.StubKeys, opt.SameRandom = false, true, false
	return p.render(ctx, opt, nil)
}

func (p *prober) render(ctx context.Context, opt chart.RenderOptions, o overlay) (*chart.Output, error) {
	p.renders++
	opt.Occasions = opt.Strict || p.occasions
	opt.Values = chart.Merge(opt.Values, o.values(p.base))
	out, err := p.chart.Render(ctx, opt)
	if err == nil && p.like != nil {
		out = out.Like(p.like)
	}
	return out, err
}

// A choice gives values to slots.
type choice map[*slot]string

// with returns c and more; neither is changed.
func (c choice) with(more choice) choice {
	all := make(choice, len(c)+len(more))
	maps.Copy(all, c)
	maps.Copy(all, more)
	return all
}

// overlay turns the values of slots into values of keys. A text with several
// slots has each of them replaced.
func (c choice) overlay() overlay {
	byKey := map[string][]*slot{}
	for s := range c {
		byKey[s.path.String()] = append(byKey[s.path.String()], s)
	}
	o := overlay{}
	for key, slots := range byKey {
		slices.SortFunc(slots, func(a, b *slot) int { return cmp.Compare(a.from, b.from) })
		var text strings.Builder
		end := 0
		for _, s := range slots {
			text.WriteString(s.text[end:s.from] + c[s])
			end = s.to
		}
		text.WriteString(slots[0].text[end:])
		o[key] = setting{slots[0].path, text.String()}
	}
	return o
}

// A proposal is a value for one slot, and the spots that it moves.
type proposal struct {
	slot     *slot
	value    string
	spots    []int
	all      []int // the spots that would need another value too
	disputed bool  // there are such spots
}

// observe puts sentinels into all slots at once and returns what follows for
// the spots of open. Slots that the chart does not render with are found by
// halving, and left out; so are those that make a spot vanish, as a branch does that
// excludes another one. fixed adds what is chosen already.
func (p *prober) observe(ctx context.Context, fixed func(choice) overlay, slots []*slot, open []int) ([]proposal, error) {
	if len(slots) == 0 || len(open) == 0 {
		return nil, nil
	}
	sentinels := make(choice, len(slots))
	for _, s := range slots {
		sentinels[s] = s.sentinel
	}
	out, err := p.probe(ctx, fixed(sentinels))
	if err != nil {
		if refusal(err) == nil {
			return nil, err
		}
		if len(slots) == 1 {
			return nil, nil
		}
		return p.halves(ctx, fixed, slots, open)
	}
	found, masked, behind := p.propose(out, slots, open)
	gone := slices.DeleteFunc(slices.Clone(open), func(i int) bool {
		_, there := out.Lookup(p.spots[i].finding.Position)
		return there
	})
	if len(gone) > 0 && len(slots) > 1 {
		more, err := p.halves(ctx, fixed, slots, gone)
		if err != nil {
			return nil, err
		}
		found = join(found, more)
	}
	for _, part := range masked.split(slots) {
		more, err := p.observe(ctx, fixed, part, behind)
		if err != nil {
			return nil, err
		}
		found = join(found, more)
	}
	return found, nil
}

// halves observes the slots in two parts.
func (p *prober) halves(ctx context.Context, fixed func(choice) overlay, slots []*slot, open []int) ([]proposal, error) {
	half := len(slots) / 2
	a, err := p.observe(ctx, fixed, slots[:half], open)
	if err != nil {
		return nil, err
	}
	b, err := p.observe(ctx, fixed, slots[half:], open)
	return join(a, b), err
}

// A mask holds slots that stand first at a spot, but do not move it while
// others are set too.
type mask map[*slot]bool

// split parts slots into the mask and the others: each is observed without the
// other. There is nothing to part when either is empty.
func (m mask) split(slots []*slot) [][]*slot {
	in := pick(slots, func(s *slot) bool { return m[s] })
	out := pick(slots, func(s *slot) bool { return !m[s] })
	if len(in) == 0 || len(out) == 0 {
		return nil
	}
	return [][]*slot{in, out}
}

// join adds proposals to others; two for one slot become one.
func join(list, more []proposal) []proposal {
	for _, b := range more {
		i := slices.IndexFunc(list, func(a proposal) bool { return a.slot == b.slot })
		if i < 0 {
			list = append(list, b)
			continue
		}
		a := &list[i]
		a.all = append(a.all, b.all...)
		a.disputed = a.disputed || b.disputed || a.value != b.value
		if a.value == b.value {
			a.spots = append(a.spots, b.spots...)
		}
	}
	return list
}

// refusal returns the chart's own error: it does not render with these values.
func refusal(err error) *chart.RenderError {
	var re *chart.RenderError
	if errors.As(err, &re) {
		return re
	}
	return nil
}

// propose reads every open spot in out. Where spots want different values for
// one slot, the value that most of them want is proposed. Spots that show
// sentinels, but that no value for the first of them moves, are returned with
// these slots.
func (p *prober) propose(out *chart.Output, slots []*slot, open []int) (list []proposal, masked mask, behind []int) {
	masked = mask{}
	spots := map[*slot]map[string][]int{}
	for _, i := range open {
		got, ok := out.Lookup(p.spots[i].finding.Position)
		if !ok || got == p.spots[i].finding.Raw {
			continue
		}
		switch s, value := decode(got, p.spots[i].want, slots); {
		case s == nil:
			key := traceOf(got, slots)
			if key == "" && len(slots) == 1 {
				key = slots[0].path.String()
			}
			if at := p.spots[i].finding.Position; p.reached[at] == "" {
				p.reached[at] = key
			}
		case value == "":
			masked[s], behind = true, append(behind, i)
			p.reached[p.spots[i].finding.Position] = s.path.String()
		default:
			if spots[s] == nil {
				spots[s] = map[string][]int{}
			}
			spots[s][value] = append(spots[s][value], i)
		}
	}
	for _, s := range slots {
		best := proposal{slot: s, disputed: len(spots[s]) > 1}
		for _, value := range sortedKeys(spots[s]) {
			at := spots[s][value]
			if best.all = append(best.all, at...); len(at) > len(best.spots) {
				best.value, best.spots = value, at
			}
		}
		if best.spots != nil {
			list = append(list, best)
		}
	}
	return list, masked, behind
}

// traceOf finds the slot of which a text holds a part of the sentinel.
func traceOf(text string, slots []*slot) string {
	for _, s := range slots {
		if first, _, ok := strings.Cut(s.sentinel, "."); ok && strings.Contains(text, first) {
			return s.path.String()
		}
	}
	return ""
}

// A view is a lenient render with some values, and what each spot reads there.
type view struct {
	out   *chart.Output
	reads []string
}

// read renders leniently with the given values. It returns nil when the chart
// does not render with them, or moves a reference that has to stay.
func (p *prober) read(ctx context.Context, o overlay) (*view, error) {
	out, err := p.probe(ctx, o)
	if refusal(err) != nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, f := range p.stay {
		if got, _ := out.Lookup(f.Position); got != f.Raw {
			return nil, nil
		}
	}
	v := &view{out: out, reads: make([]string, len(p.spots))}
	for i, s := range p.spots {
		v.reads[i], _ = out.Lookup(s.finding.Position)
	}
	return v, nil
}
