package relocate

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"bundle/bundle/internal/written"
)

// A form says what the registry of the targets looks like. Sentinels get the
// same form, so that templates that take a value apart behave as they will in
// the end.
type form struct {
	port   string // ":5000", or empty
	prefix string // "/apps", or empty
}

// formOf reads the form from a reference and its target.
func formOf(raw, target string) form {
	base, found := strings.CutSuffix(target, "/"+written.Cut(raw).Short())
	if !found {
		base = written.Cut(target).Host
	}
	host, prefix, _ := strings.Cut(base, "/")
	var f form
	if strings.Contains(host, ":") {
		f.port = ":5000"
	}
	if prefix != "" {
		f.prefix = "/" + prefix
	}
	return f
}

// mark gives each slot a sentinel of its own: a registry, followed by the path
// of the value that it replaces.
func (f form) mark(slots []*slot) {
	for i, s := range slots {
		s.sentinel = fmt.Sprintf("zs%dz.probe.io%s%s", i, f.port, f.prefix)
		switch _, rest := written.CutHost(s.was()); {
		case rest != "":
			s.sentinel += "/" + rest
		case strings.HasSuffix(s.was(), "/"):
			s.sentinel += "/"
		}
	}
}

// markPaths gives each slot a sentinel that may be a part of a path.
func markPaths(slots []*slot) {
	for i, s := range slots {
		s.sentinel = fmt.Sprintf("zs%dz.path", i)
	}
}

// markPins gives each slot a sentinel that looks like what it replaces: a
// digest, its hexadecimal part, or a tag.
func markPins(slots []*slot) {
	for i, s := range slots {
		sum := fmt.Sprintf("%x", sha256.Sum256(fmt.Append(nil, "sentinel ", i)))
		was := s.was()
		switch {
		case strings.HasPrefix(was, "sha256:"):
			s.sentinel = "sha256:" + sum
		case len(was) == len(sum):
			s.sentinel = sum
		case strings.HasPrefix(was, "v"):
			s.sentinel = fmt.Sprintf("v9%03d.0.0", i)
		default:
			s.sentinel = fmt.Sprintf("9%03d.0.0", i)
		}
	}
}

// decode finds the slot, and the value for it, that makes a position read want;
// the position reads got while all slots hold their sentinels. The first
// sentinel in got counts, since it is the one that stands where the registry
// has to be; those behind it are put back to what they were. The value is empty
// when there is a slot, but no value of it does.
func decode(got, want string, slots []*slot) (s *slot, value string) {
	first := len(got)
	for _, c := range slots {
		if i := strings.Index(got, c.sentinel); i >= 0 && i < first {
			first, s = i, c
		}
	}
	if s == nil {
		return nil, ""
	}
	rest := got[first+len(s.sentinel):]
	for _, c := range slots {
		rest = strings.ReplaceAll(rest, c.sentinel, c.was())
	}
	value, ok := strings.CutSuffix(want, rest)
	if ok {
		value, ok = strings.CutPrefix(value, got[:first])
	}
	if !ok {
		return s, ""
	}
	return s, value
}
