package cosign

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/image"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/remote"
)

// A Verdict says what became of one image.
type Verdict struct {
	Reference string        `json:"reference"`
	Digest    digest.Digest `json:"digest"` // that the registry gave for it
	Keys      []string      `json:"keys"`   // fingerprints of the keys of the policy that signed it
	Unsigned  bool          `json:"unsigned"`
	Reason    string        `json:"reason,omitempty"` // why it has no valid signature

	report bool // that does not end the export
}

// checking bounds the images that are checked at once.
const checking = 16

// Check checks every image, and notes in it who signed it. Where one has no valid signature and the
// policy does not say that this is to be reported, the error is an [*UnsignedError],
// which names all of them.
func Check(ctx context.Context, client *remote.Client, resolver *image.Resolver, images []*image.Image, p *Policy) ([]Verdict, error) {
	c := &checker{client: client, resolver: resolver, policy: p}
	verdicts := make([]Verdict, len(images))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(checking)
	for i, im := range images {
		g.Go(func() (err error) {
			verdicts[i], err = c.image(gctx, im)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	refused := &UnsignedError{Policy: p.File}
	for _, v := range verdicts {
		if v.Reason != "" && !v.report {
			refused.Images = append(refused.Images, v)
		}
	}
	if len(refused.Images) > 0 {
		return verdicts, refused
	}
	return verdicts, nil
}

type checker struct {
	client   *remote.Client
	resolver *image.Resolver
	policy   *Policy
}

// image decides about one.
func (c *checker) image(ctx context.Context, im *image.Image) (Verdict, error) {
	v := Verdict{Reference: im.Name(), Digest: im.Source.Digest}
	rule, ok := c.policy.rule(im.Ref.Host + "/" + im.Ref.Path)
	v.report, v.Unsigned = rule.Report, rule.Unsigned
	switch {
	case !ok:
		v.Reason = "no rule of the policy is for it"
		return v, nil
	case rule.Unsigned:
		return v, nil
	case im.Files != nil:
		v.Reason = "it comes from a file, which has no signatures of it"
		return v, nil
	}
	attached, err := c.resolver.Attached(ctx, im)
	if err != nil {
		return v, err
	}
	var others []string // why what is there does not count
	for _, a := range attached {
		keys, why, err := c.artifact(ctx, a, im.Source.Digest, rule.Keys)
		if err != nil {
			return v, err
		}
		v.Keys, others = append(v.Keys, keys...), append(others, why...)
	}
	slices.Sort(v.Keys)
	v.Keys = slices.Compact(v.Keys)
	im.SignedBy = v.Keys
	if len(v.Keys) == 0 {
		v.Reason = c.reason(im, others)
	}
	return v, nil
}

// reason says why an image has no valid signature.
func (c *checker) reason(im *image.Image, others []string) string {
	for _, u := range c.resolver.Unasked() {
		if u.Registry == im.Ref.Host {
			return "the registry did not answer for signatures: " + u.Reason
		}
	}
	if len(others) == 0 {
		return "there is no signature of it"
	}
	slices.Sort(others)
	others = slices.Compact(others)
	const most = 3
	if n := len(others); n > most {
		others = append(others[:most:most], fmt.Sprintf("and %d more", n-most))
	}
	return strings.Join(others, "; ")
}

// artifact looks for signatures in what is attached to an image. What is not one, or
// cannot be read, says why and costs nothing else.
func (c *checker) artifact(ctx context.Context, a *image.Image, about digest.Digest, keys []Key) (signers, why []string, err error) {
	var m ocispec.Manifest
	if json.Unmarshal(a.Content[a.Root.Digest], &m) != nil || len(m.Layers) > maxLayers {
		return nil, nil, nil
	}
	for _, layer := range m.Layers {
		if !isSignature(layer) {
			continue
		}
		content, err := image.FetchBlob(ctx, c.client, a.Ref.Repository(), layer, maxPayload)
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		var found []envelope
		if err == nil {
			found, err = read(layer, content, about)
		}
		if err != nil {
			why = append(why, record.Printable(err.Error()))
			continue
		}
		by := signersOf(found, keys)
		if len(by) == 0 {
			why = append(why, "its signature is by none of the keys of the policy")
		}
		signers = append(signers, by...)
	}
	return signers, why, nil
}

func signersOf(found []envelope, keys []Key) (signers []string) {
	for _, e := range found {
		for _, k := range keys {
			if k.signed(e.text, e.signature) {
				signers = append(signers, k.Fingerprint)
			}
		}
	}
	return signers
}

// An UnsignedError says which images have no valid signature, though the policy wants
// one.
type UnsignedError struct {
	Policy string
	Images []Verdict
}

// Error lists them all.
func (e *UnsignedError) Error() string {
	return "these images have no valid signature, as " + e.Policy + " wants it:\n  " + strings.Join(lines(e.Images), "\n  ")
}

func lines(all []Verdict) (lines []string) {
	for _, v := range all {
		lines = append(lines, fmt.Sprintf("%s (%s): %s", v.Reference, v.Digest, v.Reason))
	}
	return lines
}

// Fault makes it one of trust.
func (e *UnsignedError) Fault() (fault.Kind, string) {
	return fault.Untrusted, "have them signed by a key of the policy, name another key there, leave them out with --exclude,\nor say otherwise: report in their rule"
}

// Listed are the images one by one.
func (e *UnsignedError) Listed() (all []fault.Item) {
	for _, v := range e.Images {
		all = append(all, fault.Item{Subject: v.Reference, Reason: v.Reason})
	}
	return all
}

// Unsigned is an *[fault.IncompleteError] of the images that travel without a signature
// that the policy wants, nil where there are none.
func Unsigned(verdicts []Verdict) error {
	unsigned := slices.DeleteFunc(slices.Clone(verdicts), func(v Verdict) bool { return v.Reason == "" })
	if len(unsigned) == 0 {
		return nil
	}
	return &fault.IncompleteError{
		Summary: "these images have no valid signature, and travel all the same:",
		Items:   lines(unsigned),
		Advice:  "have them signed by a key of the policy, or leave them out with --exclude",
	}
}
