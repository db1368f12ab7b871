package record

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"bundle/bundle/internal/name"
)

// Agrees requires that the record names what index.json names, under the same
// digests.
func (r *Record) Agrees(names map[string]digest.Digest) error {
	if len(r.Charts) > MaxCharts {
		return fmt.Errorf("it lists %d charts, more than the %d allowed", len(r.Charts), MaxCharts)
	}
	claimed := make(map[string]bool)
	claim := func(name string, d digest.Digest) error {
		if got, ok := names[name]; !ok || got != d {
			return fmt.Errorf("it says %s is %q; index.json says %q", name, d, got)
		}
		claimed[name] = true
		return nil
	}
	for _, im := range slices.Concat(r.Images, r.Referrers) {
		if claimed[im.Reference] {
			return fmt.Errorf("it names %s twice", im.Reference)
		}
		if err := claim(im.Reference, im.Digest); err != nil {
			return err
		}
	}
	for _, c := range r.Charts {
		if err := CheckRelease(c.Release, c.Namespace); err != nil {
			return err
		}
		if err := c.CheckName(); err != nil {
			return err
		}
		if !KubeVersion.MatchString(c.KubeVersion) {
			return fmt.Errorf("kubeVersion %q of chart %s is none", c.KubeVersion, c.Label())
		}
		if err := claim(c.Reference, c.Digest); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if !claimed[name] {
			return fmt.Errorf("it does not say what %s in index.json is", name)
		}
	}
	return nil
}

// CheckReferrer requires that what a referrer is attached to is inside, and
// that it has no name but by digest or by what it is attached to: under any
// other, it would be pushed as something else.
func (r Image) CheckReferrer(inside bool) error {
	ref, err := name.Parse(r.Reference)
	if err != nil {
		return err
	}
	tags := []string{""}
	for _, end := range CosignTags {
		tags = append(tags, strings.Replace(r.Subject.String(), ":", "-", 1)+end)
	}
	switch {
	case !inside:
		return fmt.Errorf("attached to %q, which is not in the bundle", r.Subject)
	case !slices.Contains(tags, ref.Tag):
		return fmt.Errorf("attached to %s, but the tag says something else", r.Subject)
	case r.Destination != "" || r.SourceDigest != "" || len(r.Found)+len(r.SignedBy) > 0:
		return errors.New("attached to an image, and an image of its own")
	}
	return nil
}

// CheckFound requires that a reference in a chart is one of this image: it
// decides under which name the image is pushed.
func (im Image) CheckFound(f Finding) error {
	ref, err := name.Parse(f.Raw)
	if err != nil {
		return err
	}
	if ref.Digest != "" && (ref.Digest == im.SourceDigest || im.SourceDigest == "") {
		if im.SourceDigest == "" && ref.Digest != im.Digest {
			return fmt.Errorf("found as %q, which pins another digest than %s", f.Raw, im.Digest)
		}
		ref.Digest = im.Digest
	}
	if ref.String() != im.Reference {
		return fmt.Errorf("found as %q, which is another image", f.Raw)
	}
	return nil
}

// CheckDestination requires a path and tag below the target registry.
func (im Image) CheckDestination() error {
	if im.Destination == "" {
		return nil
	}
	ref, err := name.Parse(name.LocalHost + "/" + im.Destination)
	if err != nil || ref.String() != name.LocalHost+"/"+im.Destination {
		return fmt.Errorf("destination %q is no path and tag", im.Destination)
	}
	return nil
}

// CosignTags are the endings of the tags under which cosign keeps signatures,
// attestations and SBOMs of a digest (cosign, specs/SIGNATURE_SPEC.md).
var CosignTags = []string{".sig", ".att", ".sbom"}
