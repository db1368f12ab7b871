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

// Collisions finds the names that images of a record would share with others. Of
// images without a digest, only those are the same that have the same reference.
func Collisions(rec *record.Record, names Names) []*CollisionError {
	type claim struct{ content, who string }
	claims := make(map[string]claim)
	var all []*CollisionError
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
			ref, err := name.Parse(names.Target(raw))
			if err != nil || !names.Moves(raw) {
				continue // it is said elsewhere
			}
			old, taken := claims[key(ref)]
			switch {
			case !taken:
				claims[key(ref)] = mine
			case old.content != mine.content:
				all = append(all, &CollisionError{Target: key(ref), First: old.who, Second: mine.who})
			}
		}
	}
	return all
}

// key is the name that a reference is pushed by. A tag beside a digest is a name
// too: it must not be claimed twice.
func key(ref name.Reference) string {
	if ref.Tag == "" {
		return ref.Repository() + "@" + ref.Digest.String()
	}
	return ref.Repository() + ":" + ref.Tag
}
