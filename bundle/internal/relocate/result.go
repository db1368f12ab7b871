package relocate

import (
	"bundle/bundle/internal/chart"
)

// A Move is a reference that the values move.
type Move struct {
	chart.Finding
	Target string
	Keys   []string // dotted paths of the values that move it; none when it is at its target anyway
}

// A Named is a setting that names a host that images come from, and no image: a
// list of allowed registries, or where a controller gets other images.
type Named struct {
	chart.Finding        // Raw is the host
	Reads         string // what stands there with the overrides
	Keys          []string
}

// A Left is a reference that the values do not move.
type Left struct {
	chart.Finding
	Reads  string // what stands there with the overrides
	Reason string
	Keys   []string // dotted paths of values that would move it, were it not for the reason
	Asks   string   // a value that the chart wants to be true before it accepts Keys; it may do more than that
}

// A Change is a scalar that the overrides change besides references: a checksum, a
// label, or a text that one of the values is written into.
type Change struct {
	chart.Position
	Before, After string // empty where there is nothing; "(hidden)" in a Secret
}

// A Result is what Derive and Verify found out.
type Result struct {
	Overrides map[string]any // values to lay over the user's; empty when nothing can or need be moved
	Keys      []string       // dotted paths in Overrides, sorted
	Unlocked  []string       // those of Keys that only make the chart accept the others
	Moved     []Move         // in the order of the manifests
	Left      []Left
	Named     []Named      // no Left: nothing is pulled from there by the name alone
	Changed   []Change     // sorted by position
	Altered   []Alteration // sorted by position
	// Remarks are what no value moves and no reference shows: downloads of programs,
	// and custom resources whose operators choose images.
	Remarks []chart.Remark

	SecretKeys  []string     // those of Keys that name the pull secret
	Secrets     []SecretMove // sorted by position, pods first
	SecretsLeft []SecretLeft // sorted by position; never an error

	Renders int
	// Short tells that there were as many renders as one derivation may have: other
	// values may move more.
	Short bool
	// Before is the chart without overrides, rendered leniently: what the positions
	// are those of. Another render has them too once it is like it.
	Before *chart.Output
	proof  *chart.Output  // the strict render, like Before
	values map[string]any // all that it was with
}

// tests adds to references that only helm test pulls how they are left out.
func (r *Result) tests() {
	needed := map[string]bool{}
	for _, l := range r.Left {
		needed[l.Raw] = needed[l.Raw] || !l.Test
	}
	for i, l := range r.Left {
		if !needed[l.Raw] && l.Reason != reasonAsked {
			r.Left[i].Reason += "; only helm test pulls it: --skip-tests leaves it out"
		}
	}
}
