package diff

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"

	"bundle/bundle/internal/carried"
	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/words"
)

// charts pairs charts of one name, those that are most alike first, and compares what
// is known without their archives.
func (r *Report) charts(older, newer []record.Chart) {
	left := slices.Clone(older)
	var added []record.Chart
	alike := []func(a, b record.Chart) bool{
		func(a, b record.Chart) bool {
			return a.Version == b.Version && a.Release == b.Release && a.Digest == b.Digest
		},
		func(a, b record.Chart) bool { return a.Version == b.Version && a.Release == b.Release },
		func(a, b record.Chart) bool { return a.Release == b.Release },
		func(a, b record.Chart) bool { return a.Version == b.Version },
		func(a, b record.Chart) bool { return true },
	}
	rest := newer
	for _, same := range alike {
		added = nil
		for _, c := range rest {
			i := slices.IndexFunc(left, func(o record.Chart) bool { return o.Name == c.Name && same(o, c) })
			if i < 0 {
				added = append(added, c)
				continue
			}
			r.chart(left[i], c)
			left = slices.Delete(left, i, i+1)
		}
		rest = added
	}
	for _, c := range rest {
		r.Charts = append(r.Charts, Chart{
			Name: c.Name, State: words.Added, Version: c.Version, AppVersion: c.AppVersion, Digest: c.Digest,
			Given: compareValues(nil, c.Values),
		})
	}
	for _, c := range left {
		r.Charts = append(r.Charts, Chart{Name: c.Name, State: words.Removed, PreviousVersion: c.Version, PreviousAppVersion: c.AppVersion, PreviousDigest: c.Digest})
	}
	slices.SortStableFunc(r.Charts, func(a, b Chart) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version), cmp.Compare(a.PreviousVersion, b.PreviousVersion))
	})
}

// chart compares two that stand for one.
func (r *Report) chart(older, newer record.Chart) {
	c := Chart{
		Name: newer.Name, State: words.Changed,
		Version: newer.Version, PreviousVersion: older.Version,
		AppVersion: newer.AppVersion, PreviousAppVersion: older.AppVersion,
		Digest: newer.Digest, PreviousDigest: older.Digest,
		Inputs: compareValues(inputs(older), inputs(newer)),
		Given:  compareValues(older.Values, newer.Values),
	}
	if c.Version == c.PreviousVersion && c.Digest == c.PreviousDigest && len(c.Inputs)+len(c.Given) == 0 {
		r.SameCharts++
		return
	}
	r.Charts = append(r.Charts, c)
}

// inputs are what a chart is rendered with, beside values.
func inputs(c record.Chart) map[string]any {
	in := map[string]any{"release": c.Release, "namespace": c.Namespace, "kubeVersion": c.KubeVersion}
	for key, list := range map[string][]string{"apiVersions": c.APIVersions, "leftOut": c.LeftOut} {
		var all []any
		for _, v := range list {
			all = append(all, v)
		}
		if all != nil {
			in[key] = all
		}
	}
	if c.SkipTests {
		in["skipTests"] = true
	}
	return in
}

// defaults compares the values of the charts themselves.
func (c *Chart) defaults(older, newer *open.Bundle) error {
	if c.State != words.Changed || c.Digest == c.PreviousDigest {
		return nil
	}
	before, err := chartOf(older, c.Name, c.PreviousDigest)
	if err != nil {
		return err
	}
	now, err := chartOf(newer, c.Name, c.Digest)
	if err != nil {
		return err
	}
	was, whole := before.AllDefaults()
	is, also := now.AllDefaults()
	if c.Short = !whole || !also; c.Short {
		was, is = before.DefaultValues(), now.DefaultValues()
	}
	c.Defaults = compareValues(was, is)
	return nil
}

func chartOf(b *open.Bundle, name string, d digest.Digest) (*chart.Chart, error) {
	i := slices.IndexFunc(b.Record.Charts, func(c record.Chart) bool { return c.Name == name && c.Digest == d })
	if i < 0 {
		return nil, fmt.Errorf("chart %s %s is not in the bundle", name, d)
	}
	return carried.Chart(b, b.Record.Charts[i])
}
