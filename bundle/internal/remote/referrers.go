package remote

import (
	"context"
	"errors"
	"net/http"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// maxReferrers bounds the referrers of one manifest.
const maxReferrers = 1000

// Referrers lists the manifests that name d as their subject (OCI distribution
// specification 1.1, "Listing Referrers"): from the registry's API or, where it
// has none, from the fallback tag.
func (c *Client) Referrers(ctx context.Context, repo string, d digest.Digest) ([]ocispec.Descriptor, error) {
	r, err := c.repository(repo)
	if err != nil {
		return nil, err
	}
	ctx = r.scoped(ctx, auth.ActionPull)
	list := func() (all []ocispec.Descriptor, err error) {
		err = r.retry(ctx, "list referrers", repo+"@"+d.String(), func(ctx context.Context) error {
			all = nil
			return r.oras.Referrers(ctx, ocispec.Descriptor{Digest: d}, "", func(page []ocispec.Descriptor) error {
				if all = append(all, page...); len(all) > maxReferrers {
					return refuse("more than %d referrers", maxReferrers)
				}
				return nil
			})
		})
		return all, err
	}
	all, err := list()
	var e *Error
	if errors.As(err, &e) && (e.Status == http.StatusBadRequest || e.Status == http.StatusMethodNotAllowed) {
		// Some registries answer so where the specification wants 404. The error
		// of a capability that is known by now is of no interest.
		_ = r.oras.SetReferrersCapability(false)
		all, err = list()
	}
	if errors.As(err, &e) && e.Kind == NotFound {
		return nil, nil
	}
	return all, err
}
