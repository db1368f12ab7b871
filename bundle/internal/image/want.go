package image

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/remote"
)

// Exclude drops what the user does not want. A reference that nobody asked for
// is a mistake.
func Exclude(wanted []Want, refs []string) ([]Want, error) {
	for _, raw := range refs {
		ref, err := name.Parse(raw)
		if err != nil {
			return nil, &fault.UsageError{What: "--exclude: " + err.Error()}
		}
		n := len(wanted)
		wanted = slices.DeleteFunc(wanted, func(w Want) bool { return w.ref == ref })
		if len(wanted) == n {
			return nil, &fault.UsageError{What: fmt.Sprintf("--exclude %s: no chart names it", raw), Advice: "see bundle images CHART"}
		}
	}
	return wanted, nil
}

// A Want is a reference to fetch and every place that asks for it.
type Want struct {
	ref   name.Reference
	found []record.Finding
	files Files // where it lies; nil: in its registry
	all   bool  // all platforms, whatever is chosen
}

// AllPlatforms excepts images from a choice of platforms. A reference that nobody
// asked for is a mistake.
func AllPlatforms(wanted []Want, refs []string) error {
	for _, raw := range refs {
		ref, err := name.Parse(raw)
		if err != nil {
			return &fault.UsageError{What: "--all-platforms: " + err.Error()}
		}
		i := slices.IndexFunc(wanted, func(w Want) bool { return w.ref == ref })
		if i < 0 {
			return &fault.UsageError{What: fmt.Sprintf("--all-platforms %s: nobody asks for it", raw), Advice: "see bundle images CHART"}
		}
		wanted[i].all = true
	}
	return nil
}

// InFiles says of wanted images, by their names, that they lie in files.
func InFiles(wanted []Want, files map[string]Files) {
	for i := range wanted {
		wanted[i].files = files[wanted[i].ref.String()]
	}
}

// Collect merges findings that name the same thing, in the order of the
// references, so that a plan does not depend on the order of its inputs.
func Collect(findings []record.Finding) ([]Want, error) {
	byName := make(map[string]*Want)
	for _, f := range findings {
		ref, err := name.Parse(f.Raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Where(), err)
		}
		w := byName[ref.String()]
		if w == nil {
			w = &Want{ref: ref}
			byName[ref.String()] = w
		}
		w.found = append(w.found, f)
	}
	all := make([]Want, 0, len(byName))
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		all = append(all, *byName[name])
	}
	return all, nil
}

// withSeen adds to a failed resolve where the reference was seen: the user may
// never have heard of it.
func withSeen(err error, found []record.Finding) error {
	where := seenIn(found)
	if where == "" {
		return err
	}
	var unfit *UnfitError
	if errors.As(err, &unfit) {
		return err // it is said in the line of the image
	}
	hint := fault.Hint(err)
	var e *remote.Error
	if errors.As(err, &e) && e.Kind == remote.Unreachable && e.Mirror == "" && e.Host != "" {
		hint = strings.TrimPrefix(hint+"\n", "\n") + "or fetch from a mirror that can be reached: --registry-mirror " + e.Host + "=HOST[:PORT][/PREFIX]"
	}
	return fault.WithHint(err, strings.TrimPrefix(hint+"\n"+where, "\n"))
}

// seenIn says where a reference was seen; empty where the user named it.
func seenIn(found []record.Finding) string {
	if len(found) == 0 || found[0].Chart == "" {
		return ""
	}
	where := "seen in " + found[0].Where()
	if n := len(found) - 1; n > 0 {
		where += fmt.Sprintf(" and %d more", n)
	}
	return where
}
