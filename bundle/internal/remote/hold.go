package remote

import (
	"context"
	"errors"
	"net/http"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// ErrUploadLost says that a registry has forgotten what it was sent of a blob: it has
// to be sent from its begin.
var ErrUploadLost = errors.New("the registry has given up the upload: the blob has to be sent again, from its begin")

// A HeldUpload is a blob on its way into a repository whose pieces are never there
// together. The registry keeps what it was sent for as long as it keeps uploads,
// mostly hours or days.
type HeldUpload struct{ u *upload }

// HoldUpload begins one. Nothing is asked of the registry before the first Send.
func (c *Client) HoldUpload(repo string, d ocispec.Descriptor) (*HeldUpload, error) {
	r, err := c.repository(repo)
	if err != nil {
		return nil, err
	}
	if err := checkDescriptor(d); err != nil {
		return nil, r.fail("push blob", repo+"@"+d.Digest.String(), 0, err)
	}
	return &HeldUpload{&upload{repo: r, desc: d}}, nil
}

// Offset is how many bytes the registry has.
func (h *HeldUpload) Offset() int64 { return h.u.offset }

// Send sends the bytes from Offset up to end, and completes the blob when that is its
// end. src.OpenAt is what it reads. After [ErrUploadLost], Offset is 0. Nothing of
// src is open when it returns.
func (h *HeldUpload) Send(ctx context.Context, end int64, src BlobSource) (PushResult, error) {
	u := h.u
	ctx = u.repo.scoped(ctx, auth.ActionPull, auth.ActionPush)
	from, before := u.offset, u.meter.total()
	u.src, u.best = src, u.offset
	u.meter.forgive()
	u.retry = u.repo.client.backoff(u.repo.host)
	ctx = u.retry.attach(ctx)
	defer u.meter.close()
	for again := false; ; again = true {
		err := h.attempt(ctx, BlobRange{From: from, To: end}, again)
		if err == nil && end == u.desc.Size && !u.done {
			err = u.confirm(ctx)
		}
		u.meter.retire()
		sent := PushResult{Sent: u.meter.total() - before}
		if err == nil {
			return sent, nil
		}
		if u.offset-u.best >= progressBytes {
			u.best = u.offset
			u.retry.progress()
		}
		if errors.Is(err, ErrUploadLost) {
			u.session, u.offset = session{}, 0
			u.meter.set(0)
			return sent, err
		}
		if err := u.retry.again(ctx, err); err != nil {
			return sent, u.repo.fail("push blob", u.repo.name+"@"+u.desc.Digest.String(), u.retry.attempts, err)
		}
	}
}

// attempt sends a piece, or what the registry lacks of it.
func (h *HeldUpload) attempt(ctx context.Context, piece BlobRange, again bool) error {
	u := h.u
	if u.location != "" && again {
		if done, err := u.recover(ctx); done || err != nil {
			u.done = done
			return err
		}
		if u.location == "" {
			u.offset = 0
		}
	}
	if u.offset < piece.From {
		return ErrUploadLost
	}
	if u.location == "" {
		if u.offset > 0 {
			return ErrUploadLost
		}
		if _, err := u.begin(ctx); err != nil {
			return err
		}
	}
	for u.offset < piece.To {
		end := piece.To
		if chunk := u.chunk(); chunk > 0 {
			end = min(end, u.offset+chunk)
		}
		if err := u.sendPart(ctx, end); err != nil || u.done {
			return lostSession(err, piece)
		}
	}
	if piece.To < u.desc.Size {
		return nil
	}
	return lostSession(u.complete(ctx), piece)
}

// lostSession tells a registry that does not know the upload any longer.
func lostSession(err error, piece BlobRange) error {
	var status *statusError
	if piece.From > 0 && errors.As(err, &status) && (status.Status == http.StatusNotFound || status.Status == http.StatusGone) {
		return ErrUploadLost
	}
	return err
}

// Cancel gives the upload up.
func (h *HeldUpload) Cancel(ctx context.Context) {
	if h.u.location != "" {
		h.u.repo.cancelUpload(ctx, h.u.location)
		h.u.session, h.u.offset = session{}, 0
	}
}
