package remote

import (
	"context"
	"net/http"

	"github.com/opencontainers/go-digest"
)

// confirm asks whether what was pushed is there. Replicas may learn of it a little
// later. A registry that does not answer the question is believed.
func (r *repository) confirm(ctx context.Context, has func(context.Context) (bool, error)) error {
	b := r.client.backoff(r.host)
	late := &statusError{Host: r.host, Status: http.StatusNotFound, Again: true}
	for n := 1; ; n++ {
		found, err := has(ctx)
		switch {
		case found:
			return nil
		case err != nil && retryable(err):
			return err
		case err != nil:
			return ctx.Err()
		}
		if n == maxLate || b.again(ctx, late) != nil {
			break
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return refuse("the registry said that it took this, and does not have it")
}

// stands asks once whether a tag or digest stands for a manifest.
func (r *repository) stands(ctx context.Context, ref string, want digest.Digest) (bool, error) {
	got, err := r.headManifest(ctx, ref)
	if missing(err) {
		// Some proxies say so of every HEAD.
		desc, _, gerr := r.fetchManifest(ctx, ref, maxManifest)
		got, err = desc.Digest, gerr
	}
	if missing(err) {
		return false, nil
	}
	return err == nil && got == want, err
}

// missing reports whether an answer says that there is no such thing.
func missing(err error) bool {
	status := asStatus(err)
	return status != nil && status.Status == http.StatusNotFound
}
