package page

import (
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"bundle/bundle/internal/record"
)

// A difference is one name that does not stand for what it stood for.
type difference struct {
	Name     string
	State    string // new, replaced, gone
	Was, Now digest.Digest
}

// A comparison is what a bundle changes.
type comparison struct {
	Different []difference
	Same      int
}

// compare tells what a bundle has that an older one had not, or had otherwise.
func compare(older, now *record.Record) (c comparison) {
	was, is := contents(older), contents(now)
	for name, d := range is {
		switch old, known := was[name]; {
		case !known:
			c.Different = append(c.Different, difference{name, "new", "", d})
		case old != d:
			c.Different = append(c.Different, difference{name, "replaced", old, d})
		default:
			c.Same++
		}
	}
	for name, d := range was {
		if _, still := is[name]; !still {
			c.Different = append(c.Different, difference{name, "gone", d, ""})
		}
	}
	slices.SortFunc(c.Different, func(a, b difference) int {
		return strings.Compare(a.State+" "+a.Name, b.State+" "+b.Name)
	})
	return c
}

// contents are the digests of everything that a record names.
func contents(r *record.Record) map[string]digest.Digest {
	all := make(map[string]digest.Digest)
	for _, c := range r.Charts {
		all["chart "+c.Name+" "+c.Version] = c.Digest
	}
	for _, im := range r.Images {
		all[im.Reference] = im.Digest
	}
	return all
}
