package remote

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"

	"oras.land/oras-go/v2/registry/remote/auth"
)

const opAccess = "check access to"

// Preflight finds out whether repo can be pushed to, before anything is: the
// registry answers and the credentials are right ([Client.Ping]), and they permit
// an upload ([Client.MayPush]). The Kind of its error tells these apart, and Hint
// says what to do.
func (c *Client) Preflight(ctx context.Context, repo string) error {
	if err := c.Ping(ctx, repo); err != nil {
		return err
	}
	return c.MayPush(ctx, repo)
}

// Ping finds out whether the host of repo is a registry, and knows the user.
func (c *Client) Ping(ctx context.Context, repo string) error {
	r, err := c.repository(repo)
	if err != nil {
		return err
	}
	ctx = r.scoped(ctx, auth.ActionPull, auth.ActionPush)
	return r.unknown(r.retry(ctx, opAccess, repo, r.ping))
}

// MayPush finds out whether repo, which may not exist yet, takes uploads: one is
// begun and cancelled.
func (c *Client) MayPush(ctx context.Context, repo string) error {
	r, err := c.repository(repo)
	if err != nil {
		return err
	}
	ctx = r.scoped(ctx, auth.ActionPull, auth.ActionPush)
	var s session
	err = r.retry(ctx, opAccess, repo, func(ctx context.Context) error {
		s, err = r.startUpload(ctx, "")
		return err
	})
	if err != nil {
		return r.mayNotPush(err)
	}
	if s.location != "" {
		r.cancelUpload(ctx, s.location)
	}
	return nil
}

// shallow is the number of parts of a path that every registry takes.
const shallow = 2

const hintHTML = "check host and port; is there a login page or a proxy before the registry?"

// ping asks whether there is a registry and who the client is.
func (r *repository) ping(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.scheme+"://"+r.host+"/v2/", nil)
	if err != nil {
		return err
	}
	resp, err := r.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case resp.StatusCode/100 == 2 && kind == "text/html":
		return &policyError{Msg: "got an HTML page instead of a registry's answer", Hint: hintHTML}
	case resp.StatusCode/100 == 2, resp.StatusCode == http.StatusNotFound:
		return nil // some registries serve repositories only
	}
	return newStatusError(resp)
}

// mayNotPush turns the refusal of an upload into what it means after a ping that
// went well: the user is known, and has not the right.
func (r *repository) mayNotPush(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	switch {
	case e.Kind == Auth && r.credentialsKnown.Load(), e.Kind == Denied:
		e.Kind, e.Hint = Denied, "these credentials do not permit a push to "+r.location+"; ask for that right, or use others"
		if n := r.depth(); n > shallow {
			e.Hint += fmt.Sprintf(";\nor its path of %d parts is too deep: some registries take two", n)
		}
	case e.Kind == Auth:
		return r.unknown(e)
	case e.Kind == NotFound:
		e.Hint = "create the repository or project " + r.location + " first"
	}
	return e
}

// unknown says of credentials that are refused whose they are, and of missing ones
// how a registry that is pushed to is given some.
func (r *repository) unknown(err error) error {
	var e *Error
	if !errors.As(err, &e) || e.Kind != Auth {
		return err
	}
	if r.credentialsKnown.Load() {
		e.Hint = "the user name or the password for " + registryName(r.host) + " is wrong, or has expired"
		return e
	}
	e.Hint += ", or give --username NAME --password-stdin"
	return e
}
