package image

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/remote"
	"bundle/layout"
)

// An UnfitError lists the images that cannot travel as they were asked for.
type UnfitError struct {
	Images []string // one line for each: which, and what is the matter with it
	Advice []string // what helps, without repetition; REF stands for an image
	refs   []string // the images
	errs   []error  // what was behind it
}

// Unwrap returns what registries said.
func (e *UnfitError) Unwrap() []error { return e.errs }

func (e *UnfitError) Error() string {
	if len(e.Images) == 1 {
		return e.Images[0]
	}
	return fmt.Sprintf("%d images cannot travel as they are:\n  %s", len(e.Images), strings.Join(e.Images, "\n  "))
}

// Fault tells the ways to take the others, or the rest of them.
func (e *UnfitError) Fault() (fault.Kind, string) {
	advice := strings.Join(e.Advice, "\n")
	if len(e.refs) == 1 {
		advice = strings.ReplaceAll(advice, "REF", e.refs[0])
	}
	return fault.Failed, advice
}

func unfit(ref name.Reference, what, advice string, err error) *UnfitError {
	e := &UnfitError{Images: []string{ref.String() + ": " + what}, Advice: []string{advice}, refs: []string{ref.String()}}
	if err != nil {
		e.errs = []error{err}
	}
	return e
}

// asUnfit takes an *UnfitError out of err, with the place where the image was
// seen, so that it can be joined to others; any other error stays one.
func asUnfit(err error, found []record.Finding) (*UnfitError, error) {
	var unfit *UnfitError
	if !errors.As(err, &unfit) {
		return nil, err
	}
	if seen := seenIn(found); seen != "" && len(unfit.Images) == 1 {
		placed := *unfit
		placed.Images = []string{unfit.Images[0] + " (" + seen + ")"}
		unfit = &placed
	}
	return unfit, nil
}

func joinUnfit(all []*UnfitError) error {
	joined := new(UnfitError)
	for _, e := range all {
		if e == nil {
			continue
		}
		joined.Images = append(joined.Images, e.Images...)
		joined.refs = append(joined.refs, e.refs...)
		joined.errs = append(joined.errs, e.errs...)
		for _, a := range e.Advice {
			if !slices.Contains(joined.Advice, a) {
				joined.Advice = append(joined.Advice, a)
			}
		}
	}
	if len(joined.Images) == 0 {
		return nil
	}
	return joined
}

// A lostError is what an index names and its registry does not have.
type lostError struct {
	children []string
	first    error
}

func (e *lostError) add(d ocispec.Descriptor, err error) {
	is := "a child"
	switch p, ok := platformOf(d.Platform); {
	case ok:
		is = "its child for " + p.String()
	case isAttestation(d):
		is = "an attestation"
	case !layout.IsManifest(d.MediaType):
		is = "its config"
	}
	e.children = append(e.children, fmt.Sprintf("%s (%s)", is, d.Digest))
	if e.first == nil {
		e.first = err
	}
}

func (e *lostError) orNil() error {
	if len(e.children) == 0 {
		return nil
	}
	return e
}

func (e *lostError) Error() string {
	return fmt.Sprintf("the source has lost %s: %v", strings.Join(e.children, ", "), e.first)
}

func (e *lostError) Unwrap() error { return e.first }

// isLost reports whether a document is named, and not there.
func isLost(err error) bool {
	var e *remote.Error
	return errors.As(err, &e) && e.Kind == remote.NotFound || errors.Is(err, fs.ErrNotExist)
}

// explain names the image, and says how to do without what cannot travel.
func (im *Image) explain(err error, choice Choice) error {
	var (
		known *UnfitError
		lost  *lostError
		wrong *layout.ContentError
		said  *remote.Error
	)
	if errors.As(err, &known) {
		return known
	}
	told := errors.As(err, &said) && said.Kind == remote.Protocol
	if !errors.As(err, &lost) && !errors.As(err, &wrong) && !told {
		return fmt.Errorf("%s: %w", im.Ref, err)
	}
	advice := "leave the image out with --exclude REF"
	if layout.IsIndex(im.Source.MediaType) {
		advice = "take only the platforms that you need with --platform, or leave the image out with --exclude REF"
		if len(choice.Platforms) > 0 {
			advice = "choose other platforms with --platform, or leave the image out with --exclude REF"
		}
	}
	return unfit(im.Ref, err.Error(), advice, err)
}

// nowhere requires that each layer that may lie elsewhere is served for one of
// the images.
func nowhere(images []*Image) error {
	missing := make(map[digest.Digest]bool)
	for _, im := range images {
		for _, d := range im.unserved {
			missing[d.Digest] = true
		}
	}
	if len(missing) == 0 {
		return nil
	}
	for _, im := range images {
		for _, d := range im.layers() {
			if missing[d] && !im.Unserved(d) {
				delete(missing, d)
			}
		}
	}
	all := make([]*UnfitError, len(images))
	for i, im := range images {
		all[i] = im.unfitFor(missing)
	}
	return joinUnfit(all)
}

// unfitFor names the layers of an image that no registry has.
func (im *Image) unfitFor(missing map[digest.Digest]bool) *UnfitError {
	var layers []string
	for _, d := range im.unserved {
		if !missing[d.Digest] {
			continue
		}
		text := fmt.Sprintf("%s (%s)", d.Digest, d.MediaType)
		if len(d.URLs) > 0 {
			text += " that is to come from " + record.Printable(d.URLs[0])
		}
		layers = append(layers, text)
	}
	if len(layers) == 0 {
		return nil
	}
	e, _ := asUnfit(unfit(im.Ref, "its registry does not serve layer "+strings.Join(layers, ", "),
		"its publisher keeps such layers out of registries: leave the image out with --exclude REF,\n"+
			"or, of an image that has others, take the platforms that do without with --platform", nil), im.Found)
	return e
}
