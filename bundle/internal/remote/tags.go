package remote

import (
	"context"

	"oras.land/oras-go/v2/registry/remote/auth"
)

// maxTags bounds the list of a repository's tags.
const maxTags = 100_000

// maxPages bounds the pages of a list, of tags or of referrers.
const maxPages = 1000

// Tags lists the tags of a repository, in the order the registry gives them.
func (c *Client) Tags(ctx context.Context, repo string) ([]string, error) {
	r, err := c.repository(repo)
	if err != nil {
		return nil, err
	}
	var all []string
	ctx = r.scoped(ctx, auth.ActionPull)
	err = r.retry(ctx, "list tags", repo, func(ctx context.Context) error {
		all = nil
		return r.oras.Tags(ctx, "", func(page []string) error {
			if all = append(all, page...); len(all) > maxTags {
				return refuse("more than %d tags", maxTags)
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}
