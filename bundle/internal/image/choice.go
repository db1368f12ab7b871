package image

import (
	"context"
	"fmt"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/layout"
)

// A Choice says which platforms of images are taken.
type Choice struct {
	Platforms []Platform // empty: all
	// Optional takes an image that lacks some of them with those that it has, and
	// one that has none of them whole.
	Optional bool
}

// narrow reduces an index to the platforms that are wanted before anything else
// of it is read: what stays behind is nobody's concern.
func (r *Resolver) narrow(ctx context.Context, im *Image, choice Choice) error {
	if !layout.IsIndex(im.Root.MediaType) || len(choice.Platforms) == 0 {
		return nil
	}
	if err := r.indexes(ctx, im, im.Root, choice.Platforms, 0); err != nil {
		return err
	}
	have := im.Content.Platforms(im.Root)
	wanted, err := im.offered(have, choice)
	if err != nil || len(wanted) == 0 {
		return err
	}
	im.wanted = wanted
	im.Root, err = im.Content.subset(im.Root, wanted)
	return err
}

// offered returns the platforms of the choice that an image has, and notes those
// that it lacks. None is for all of the image.
func (im *Image) offered(have []Platform, choice Choice) (wanted []Platform, err error) {
	if len(have) == 0 {
		return nil, nil
	}
	for _, w := range choice.Platforms {
		if slices.ContainsFunc(have, w.matches) {
			wanted = append(wanted, w)
		} else {
			im.Lacks = append(im.Lacks, w)
		}
	}
	if len(im.Lacks) > 0 && !choice.Optional {
		return nil, im.lack(have)
	}
	return wanted, nil
}

// lack says which platforms an image does not have.
func (im *Image) lack(have []Platform) error {
	is := "is"
	if len(im.Lacks) > 1 {
		is = "are"
	}
	return unfit(im.Ref, fmt.Sprintf("platform %s %s not offered: it has %s", joinStrings(im.Lacks), is, joinStrings(have)),
		"take what there is of the platforms with --platform-optional, or the image as it is with --all-platforms REF,\n"+
			"or leave it out with --exclude REF", nil)
}

// indexes fetches the indexes below an index that may hold a wanted platform.
func (r *Resolver) indexes(ctx context.Context, im *Image, d ocispec.Descriptor, want []Platform, depth int) error {
	if depth > deepest {
		return fmt.Errorf("index nested more than %d levels deep", deepest)
	}
	list, err := layout.Listed(d.MediaType, im.Content[d.Digest])
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(c ocispec.Descriptor) bool {
		return !layout.IsIndex(c.MediaType) || im.Content[c.Digest] != nil || !mayHold(c, want)
	})
	if err := r.documents(ctx, im, list); err != nil {
		return err
	}
	for _, c := range list {
		if err := r.indexes(ctx, im, c, want, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// mayHold reports whether a child that says its platform, or does not, may be or
// hold one that is wanted.
func mayHold(c ocispec.Descriptor, want []Platform) bool {
	p, ok := platformOf(c.Platform)
	return !ok || slices.ContainsFunc(want, func(w Platform) bool { return w.matches(p) })
}

// reduced reports whether the root is one that the choice made.
func (im *Image) reduced() bool { return len(im.wanted) > 0 && layout.IsIndex(im.Root.MediaType) }

// settle ends the choice when all that is wanted was read: attestations that are
// lost are left out, and a single image is for a platform that is wanted.
func (im *Image) settle(choice Choice) (err error) {
	if im.reduced() {
		if len(im.Lost) > 0 {
			if im.Root, err = im.Content.subset(im.Source, im.wanted, im.Lost...); err != nil {
				return err
			}
		}
		return im.forgetUnreachable()
	}
	if !layout.IsIndex(im.Root.MediaType) {
		_, err = im.offered(im.Content.Platforms(im.Root), choice)
	}
	return err
}

func isAttestation(d ocispec.Descriptor) bool {
	_, ok := platformOf(d.Platform)
	return !ok && d.Annotations[annotationSubject] != ""
}
