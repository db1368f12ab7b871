package remote

import (
	"context"

	"oras.land/oras-go/v2/registry/remote"
)

// maxCatalog bounds the list of a registry's repositories.
const maxCatalog = 100_000

// Catalog lists the repositories of a registry, below their host, in the order that
// it gives them. Many registries answer this to administrators only, or to nobody.
func (c *Client) Catalog(ctx context.Context, host string) ([]string, error) {
	r, err := c.repository(host + "/catalog")
	if err != nil {
		return nil, err
	}
	var all []string
	pages := 0
	err = r.retry(ctx, "list repositories", host, func(ctx context.Context) error {
		all, pages = nil, 0
		list := remote.Registry{RepositoryOptions: remote.RepositoryOptions{
			Client: pusher{r}, PlainHTTP: r.scheme == "http", MaxMetadataBytes: maxManifest,
		}}
		list.Reference.Registry = r.host
		return list.Repositories(ctx, "", func(page []string) error {
			// An empty page with a link to the next is no end.
			if pages++; pages > maxPages {
				return refuse("more than %d pages of repositories", maxPages)
			}
			if all = append(all, page...); len(all) > maxCatalog {
				return refuse("more than %d repositories", maxCatalog)
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}
