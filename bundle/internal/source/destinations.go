package source

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/image"
	"bundle/bundle/internal/name"
)

// An ImageSpec is an image named by the user and, optionally, the name it
// shall have on the other side. Of the destination's registry, the import's
// --registry takes the place.
type ImageSpec struct {
	Source      string
	Destination string
}

// check requires that both names can be read.
func (s ImageSpec) check() error {
	if s.Source == "" {
		return errors.New("an image without a source")
	}
	if s.Destination == "" {
		_, from := cutAnswer(s.Source)
		if _, _, ok := cutTransport(from); ok {
			return nil
		}
		_, err := name.Parse(from)
		return err
	}
	_, err := s.destinationPath()
	return err
}

// name is the name that the image has in a bundle.
func (s ImageSpec) name() (name.Reference, error) {
	text, from := cutAnswer(s.Source)
	if _, _, ok := cutTransport(from); !ok {
		return name.Parse(from)
	}
	if text == "" {
		return name.Reference{}, fmt.Errorf("%s has a destination, and no name: want HOST/PATH:TAG=%s", from, from)
	}
	return name.Parse(text)
}

// destinationPath is the destination without its registry: what stands below
// --registry on the other side. A tag that is not given is the source's.
func (s ImageSpec) destinationPath() (string, error) {
	source, err := s.name()
	if err != nil {
		return "", err
	}
	dest := s.Destination
	if first, _, ok := strings.Cut(dest, "/"); !ok || !strings.ContainsAny(first, ".:") && first != "localhost" {
		// Without a host it is a path already; a host that is none keeps the
		// parser from adding docker.io/library.
		dest = name.LocalHost + "/" + dest
	}
	ref, err := name.Parse(dest)
	if err != nil {
		return "", err
	}
	if ref.Digest != "" {
		return "", fmt.Errorf("destination %q: a digest cannot be chosen", s.Destination)
	}
	if !strings.HasSuffix(dest, ":"+ref.Tag) {
		ref.Tag = cmp.Or(source.Tag, ref.Tag)
	}
	return ref.Path + ":" + ref.Tag, nil
}

// SetDestinations gives images the names that the user chose for them.
func SetDestinations(images []*image.Image, destinations map[string]string) error {
	byRef := make(map[string]string, len(destinations))
	for source, dest := range destinations {
		spec := ImageSpec{source, dest}
		path, err := spec.destinationPath()
		if err != nil {
			return &fault.UsageError{What: err.Error()}
		}
		ref, err := spec.name()
		if err != nil {
			return &fault.UsageError{What: err.Error()}
		}
		byRef[ref.String()] = path
	}
	for _, im := range images {
		im.Destination = byRef[im.Ref.String()]
	}
	return nil
}
