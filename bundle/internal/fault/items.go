package fault

import "errors"

// An Item is one of the things that an error is about.
type Item struct {
	Subject string `json:"subject"` // an image, a repository, a chart; may be empty
	State   string `json:"state"`   // missing, refused, outside; may be empty
	Reason  string `json:"reason"`  // why, as people are told
	Where   string `json:"where"`   // where it was seen; may be empty
}

// Items are the things that err is about, one by one. An error that lists some has
// the method Listed() []Item.
func Items(err error) []Item {
	var all []Item
	var walk func(error)
	walk = func(err error) {
		if l, ok := err.(interface{ Listed() []Item }); ok {
			all = append(all, l.Listed()...)
			return
		}
		switch e := err.(type) {
		case interface{ Unwrap() []error }:
			for _, inner := range e.Unwrap() {
				walk(inner)
			}
		default:
			if inner := errors.Unwrap(err); inner != nil {
				walk(inner)
			}
		}
	}
	walk(err)
	return all
}

// Listed returns its lines, each as the reason of an item without a subject.
func (e *IncompleteError) Listed() []Item {
	all := make([]Item, len(e.Items))
	for i, line := range e.Items {
		all[i].Reason = line
	}
	return all
}

// String is the kind as programs are told it.
func (k Kind) String() string {
	switch k {
	case Usage:
		return "usage"
	case Untrusted:
		return "untrusted"
	case Damaged:
		return "damaged"
	case Refused:
		return "refused"
	case Incomplete:
		return "incomplete"
	case Undoing:
		return "undoing"
	case NeedsMore:
		return "needs more"
	case Interrupted:
		return "interrupted"
	}
	return "failed"
}
