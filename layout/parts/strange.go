package parts

import (
	"slices"
	"strings"
)

// Strangers lists the files that were named, and that are nothing of the bundle: no part
// of it, by content or by name, and nothing that lies beside one. What is found in a
// folder is none: people keep other things on a medium.
func (f *File) Strangers() []string { return f.strange }

func (f *File) strangers(s *scan, id string) (paths []string) {
	var used []string // of slices, which no name tells
	for _, x := range f.extents {
		used = append(used, x.path)
	}
	for _, x := range s.files {
		if !x.named || x.id == id || slices.Contains(used, x.path) || slices.Contains(s.where[id], x) {
			continue
		}
		if f.set != nil {
			if _, score := f.set.match(x); score > 0 {
				continue
			}
		}
		if !f.accompanies(x.name()) {
			paths = append(paths, x.path)
		}
	}
	return paths
}

// accompanies reports whether a file of this name is of those that lie beside a bundle:
// lists of checksums, and what is called like it and has an end of its own.
func (f *File) accompanies(name string) bool {
	rest, own := strings.CutPrefix(name, f.Name()+".")
	switch {
	case strings.HasSuffix(name, ListSuffix):
		return true
	case !own:
		return false
	}
	return strings.HasSuffix(rest, ".sig") || "."+rest == BlocksSuffix || "."+rest == SetSuffix
}
