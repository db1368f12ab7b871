package place

import (
	"fmt"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/record"
)

// A CollisionError is two sources that would land on one name in the target
// registry.
type CollisionError struct {
	Target string
	First  string // reference, with its digest in brackets where that is known
	Second string
}

func (e *CollisionError) Error() string {
	return fmt.Sprintf("%s and %s would both become %s", e.First, e.Second, e.Target)
}

// Fault says how to keep the two apart.
func (e *CollisionError) Fault() (fault.Kind, string) {
	return fault.Failed, HintCollision
}

// HintCollision is how two names are kept apart.
const HintCollision = "keep the source host in the names with --names host (or --names flat)"

// Collisions finds the names that images and charts of a record would share with
// others. Of images without a digest, only those are the same that have the same
// reference.
func Collisions(rec *record.Record, names Names) []*CollisionError {
	c := claims{by: make(map[string]claim)}
	for _, im := range rec.Images {
		mine := claim{im.Digest.String(), im.Reference}
		if im.Digest == "" {
			mine.content = im.Reference
		} else {
			mine.who += " (" + im.Digest.String() + ")"
		}
		raws := []string{im.Reference}
		for i, f := range im.Found {
			raws = append(raws[:i:i], f.Raw)
		}
		for _, raw := range raws {
			if names.Moves(raw) {
				c.add(names.Target(raw), mine)
			}
		}
	}
	for _, ch := range rec.Charts {
		c.add(names.Chart(ch.Name)+":"+record.Tag(ch.Version), claim{ch.Digest.String(), ch.Reference + " (" + ch.Digest.String() + ")"})
	}
	return c.twice
}

// claims are names with what they are to stand for.
type claims struct {
	by    map[string]claim
	twice []*CollisionError
}

type claim struct{ content, who string }

// add makes one claim. What is no name is said elsewhere.
func (c *claims) add(target string, mine claim) {
	ref, err := name.Parse(target)
	if err != nil {
		return
	}
	old, taken := c.by[key(ref)]
	switch {
	case !taken:
		c.by[key(ref)] = mine
	case old.content != mine.content:
		c.twice = append(c.twice, &CollisionError{Target: key(ref), First: old.who, Second: mine.who})
	}
}

// key is the name that a reference is pushed by. A tag beside a digest is a name
// too: it must not be claimed twice.
func key(ref name.Reference) string {
	if ref.Tag == "" {
		return ref.Repository() + "@" + ref.Digest.String()
	}
	return ref.Repository() + ":" + ref.Tag
}
