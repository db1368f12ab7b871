package emit

import (
	"fmt"
	"slices"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/record"
)

// Collide finds references of several registries that get one name in the target.
// An import compares the images, and refuses those that differ; where there are no
// images to compare, all there is to tell is that the names meet.
func (c *Chart) Collide() {
	var all []chart.Finding
	for _, m := range c.result.Moved {
		all = append(all, m.Finding)
	}
	for _, l := range c.result.Left {
		all = append(all, l.Finding)
	}
	first := make(map[string]name.Reference) // target → source
	for _, f := range all {
		if f.Confidence == chart.Placeholder || f.Test && c.Record.SkipTests {
			continue
		}
		source, err := name.Parse(f.Raw)
		target, err2 := name.Parse(c.Naming.Target(f.Raw))
		if err != nil || err2 != nil || target.Tag == "" { // a digest says which image it is
			continue
		}
		key := target.Repository() + ":" + target.Tag
		other, taken := first[key]
		if !taken {
			first[key] = source
			continue
		}
		item := record.Printable(fmt.Sprintf("%s and %s would both become %s", other, source, key))
		if other.Repository() != source.Repository() && !slices.Contains(c.Collisions, item) {
			c.Collisions = append(c.Collisions, item)
		}
	}
}
