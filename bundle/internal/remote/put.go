package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// PushManifest pushes manifest bytes under a tag, or under their digest alone
// when ref is empty or the digest. d must describe data. A manifest with a
// subject is listed among its referrers where the registry does not do so.
func (c *Client) PushManifest(ctx context.Context, repo, ref string, d ocispec.Descriptor, data []byte) error {
	r, err := c.repository(repo)
	if err != nil {
		return err
	}
	if ref == "" {
		ref = d.Digest.String()
	}
	op, subject := "push manifest", repo+separator(ref)+ref
	if got := digest.FromBytes(data); got != d.Digest || int64(len(data)) != d.Size {
		err := fmt.Errorf("manifest has %d bytes and digest %s, want %d and %s", len(data), got, d.Size, d.Digest)
		return r.fail(op, subject, 0, &sourceError{err})
	}
	ctx = r.scoped(ctx, auth.ActionPull, auth.ActionPush)
	late := 0
	err = r.retry(ctx, op, subject, func(ctx context.Context) error {
		err := r.oras.PushReference(ctx, d, bytes.NewReader(data), ref)
		if err == nil {
			return r.confirm(ctx, func(ctx context.Context) (bool, error) { return r.stands(ctx, ref, d.Digest) })
		}
		if !tooEarly(err) {
			return err
		}
		if late++; late == maxLate {
			return err
		}
		status := asStatus(err)
		status.Again = true
		return status
	})
	return r.notTaken(ctx, err, ref, data)
}

// notTaken looks into a refusal. Where the name stands for the manifest already, as
// at registries that let no tag be pushed twice, it is none. Else it says what kind
// of manifest was refused, where registries are known to differ.
func (r *repository) notTaken(ctx context.Context, err error, ref string, data []byte) error {
	var e *Error
	if !errors.As(err, &e) || e.Status/100 != 4 || e.Kind != Protocol && e.Kind != NotFound && e.Kind != Denied {
		return err
	}
	var m ocispec.Manifest
	if json.Unmarshal(data, &m) != nil {
		return err // an index of Docker's oldest kind
	}
	// Of one with a subject it may be the list of referrers that was refused.
	if m.Subject == nil {
		if there, serr := r.stands(ctx, ref, digest.FromBytes(data)); serr == nil && there {
			return nil
		}
	}
	switch {
	case e.Kind == Denied:
	case tooEarly(e):
		e.Hint = "the registry lacks what the manifest names; import again, or ask its owner for what was cleaned up"
	case strings.HasPrefix(m.Config.MediaType, "application/vnd.cncf.helm."):
		e.Hint = "the registry may not take Helm charts: it lies beside its values; --skip-charts does not try to push it"
	case m.Subject != nil:
		e.Hint = "the registry may not take referrers (signatures, SBOMs): --no-referrers leaves them out"
	case strings.HasPrefix(m.MediaType, "application/vnd.docker."):
		e.Hint = "the registry may not take Docker's media types; some take OCI types only"
	case m.Config.MediaType != "" && m.Config.MediaType != ocispec.MediaTypeImageConfig && m.Config.MediaType != mediaTypeDockerConfig:
		e.Hint = "the registry may not take artifacts with a config of type " + printable(m.Config.MediaType)
	}
	return e
}

const mediaTypeDockerConfig = "application/vnd.docker.container.image.v1+json"

// maxLate is how often a manifest is pushed to a registry that has not seen yet
// what it was sent before.
const maxLate = 4

// tooEarly reports whether a manifest was refused for want of what has been
// pushed: replicas of a registry learn that one after the other.
func tooEarly(err error) bool {
	status := asStatus(err)
	if status == nil {
		return false
	}
	switch status.Code {
	case errcode.ErrorCodeManifestBlobUnknown, errcode.ErrorCodeBlobUnknown, errcode.ErrorCodeManifestUnknown:
		return true
	}
	return status.Status == http.StatusOK || status.Status == http.StatusAccepted
}

// asStatus finds the status in an error of this package or of oras; nil without.
func asStatus(err error) *statusError {
	var (
		status *statusError
		oras   *errcode.ErrorResponse
	)
	switch {
	case errors.As(err, &status):
		return status
	case errors.As(err, &oras):
		return fromORAS(oras)
	}
	return nil
}

// pusher is the client for oras, which takes no answer to the PUT of a manifest
// but 201. Where a registry gives another good one, it is asked whether it has the
// manifest.
type pusher struct{ repo *repository }

// Do implements remote.Client of oras.
func (p pusher) Do(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodPut || req.Body == nil {
		return p.repo.http.Do(req)
	}
	data, err := io.ReadAll(io.LimitReader(req.Body, maxManifest+1))
	if err = errors.Join(err, req.Body.Close()); err != nil {
		return nil, &sourceError{err}
	}
	if len(data) > maxManifest {
		return nil, refuse("manifest is larger than %d bytes", maxManifest)
	}
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
	req.Body, _ = req.GetBody() // does not fail
	resp, err := p.repo.http.Do(req)
	if err != nil || resp.StatusCode/100 != 2 || resp.StatusCode == http.StatusCreated {
		return resp, err
	}
	got, err := p.repo.headManifest(req.Context(), path.Base(req.URL.Path))
	if err == nil && got == digest.FromBytes(data) {
		resp.StatusCode = http.StatusCreated
	}
	return resp, nil
}
