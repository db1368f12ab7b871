package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// BlobSource is the content of a blob to be pushed.
type BlobSource struct {
	// Open returns the content from its beginning. It is called when bytes have
	// to be sent, and again after a failed attempt. A failure to open or to read
	// ends the push, and PushBlob's error wraps it.
	Open func() (io.ReadCloser, error)

	// OpenAt, if set, takes the place of Open for content that is not all there: it
	// returns what follows offset.
	OpenAt func(offset int64) (io.ReadCloser, error)

	// MountFrom is a repository of the same registry that has the blob, or empty.
	MountFrom string

	// Missing says that the repository is known to lack the blob: it is not asked
	// again.
	Missing bool

	// Chunk, if positive, is the largest request body in bytes: the blob is sent
	// in as many requests as that takes. Some proxies limit bodies.
	Chunk int64

	// Progress, if set, is told how many more bytes were handed over; after a
	// restart it is negative. It is called by one goroutine at a time, and not
	// after PushBlob has returned.
	Progress func(n int64)
}

// PushResult says what became of a blob.
type PushResult struct {
	Existed bool  // the repository had it
	Mounted bool  // it was linked from MountFrom
	Sent    int64 // bytes sent, repeated ones included
}

// PushBlob brings a blob into a repository in the cheapest way there is: not at
// all, by mounting it from MountFrom, or by sending it in one request. After a
// failure it asks the registry how far it came and sends the rest, or starts
// again where the registry does not know.
func (c *Client) PushBlob(ctx context.Context, repo string, d ocispec.Descriptor, src BlobSource) (PushResult, error) {
	r, err := c.repository(repo)
	if err != nil {
		return PushResult{}, err
	}
	ctx = r.scoped(ctx, auth.ActionPull, auth.ActionPush)
	if !src.Missing {
		exists, err := r.hasBlob(ctx, d)
		if exists {
			return PushResult{Existed: true}, nil
		}
		if err != nil && !Refused(err) {
			return PushResult{}, err
		}
	} else if err := checkDescriptor(d); err != nil {
		return PushResult{}, r.fail("push blob", repo+"@"+d.Digest.String(), 0, err)
	}
	u := &upload{repo: r, desc: d, src: src}
	if src.MountFrom != "" && src.MountFrom != repo {
		if u.mountFrom, err = c.repository(src.MountFrom); err != nil {
			return PushResult{}, err
		}
	}
	err = u.run(ctx)
	u.meter.close()
	return u.result, err
}

// upload is one blob on its way into a repository.
type upload struct {
	repo      *repository
	desc      ocispec.Descriptor
	src       BlobSource
	mountFrom *repository // nil: do not try
	mounts    int         // tries
	result    PushResult
	retry     *backoff

	session
	offset int64 // what the registry has in it
	best   int64 // offset at which the last progress was seen
	meter  meter

	done       bool // the blob was found at the registry
	outOfRange bool // the registry has refused an offset once
	renewed    bool // the registry has lost the upload once
}

// session is an upload that a registry has opened.
type session struct {
	location string // where its next request goes; empty: there is none
	minChunk int64  // OCI-Chunk-Min-Length: what each part but the last must have, in bytes
}

// maxMounts is how often a mount is tried that fails as if it could succeed
// later: a registry may fail at every one of them.
const maxMounts = 3

// run makes attempts until the blob is there.
func (u *upload) run(ctx context.Context) error {
	u.retry = u.repo.client.backoff(u.repo.host)
	ctx = u.retry.attach(ctx)
	for {
		err := u.attempt(ctx)
		if err == nil && !u.done {
			err = u.confirm(ctx)
		}
		u.meter.retire()
		u.result.Sent = u.meter.total()
		if err == nil {
			return nil
		}
		// What was sent says nothing: it may be in buffers, or thrown away.
		if u.offset-u.best >= progressBytes {
			u.best = u.offset
			u.retry.progress()
		}
		if err := u.retry.again(ctx, err); err != nil {
			return u.repo.fail("push blob", u.repo.name+"@"+u.desc.Digest.String(), u.retry.attempts, err)
		}
	}
}

// unless returns err where ok does not hold.
func unless(ok bool, err error) error {
	if ok {
		return nil
	}
	return err
}

// step runs f, a request without content, until it succeeds or fails for good.
// Its failures are forgotten then: the budget is for those that cost something,
// and for a registry that does not answer at all.
func (u *upload) step(ctx context.Context, f func() error) error {
	before := u.retry.failures
	for {
		err := f()
		if err == nil {
			u.retry.failures = before
			return nil
		}
		if err := u.retry.again(ctx, err); err != nil {
			return err
		}
	}
}

// attempt goes on with the session there is, or makes one and sends everything.
func (u *upload) attempt(ctx context.Context) error {
	if u.location != "" {
		done, err := u.recover(ctx)
		if done || err != nil {
			return err
		}
	}
	if u.location != "" {
		err := u.sendRest(ctx)
		var status *statusError
		if err == nil || !errors.As(err, &status) || status.Status/100 != 4 || retryable(err) || u.arrived(ctx) {
			return unless(u.done, err)
		}
		// The registry may still have been busy with what was sent before.
		if status.Status == http.StatusRequestedRangeNotSatisfiable && !u.outOfRange {
			u.outOfRange = true
			status.Again = true
			return status
		}
		// The registry cannot go on with the session after all.
		u.repo.cancelUpload(ctx, u.location)
		u.location = ""
	}
	u.offset = 0
	u.meter.set(0)
	mounted, err := u.begin(ctx)
	if mounted || err != nil {
		u.result.Mounted = mounted
		return err
	}
	return u.doubt(ctx, u.sendAll(ctx))
}

// arrived asks whether the blob is there, whatever was said of its upload. It may
// be: behind a balancer, the registry that answers need not be the one that took
// it, and some (ECR) store a blob with its last part.
func (u *upload) arrived(ctx context.Context) bool {
	if has, err := u.repo.headBlob(ctx, u.desc); err == nil && has {
		u.meter.set(u.desc.Size)
		u.done = true
	}
	return u.done
}

// confirm asks for a blob that was taken. Once, it is sent anew where the registry
// does not have it all the same.
func (u *upload) confirm(ctx context.Context) error {
	err := u.repo.confirm(ctx, func(ctx context.Context) (bool, error) { return u.repo.headBlob(ctx, u.desc) })
	var lost *policyError
	if errors.As(err, &lost) && !u.renewed {
		u.renewed, u.location = true, ""
		return &statusError{Host: u.repo.host, Status: http.StatusNotFound, Message: lost.Msg, Again: true}
	}
	return err
}

// doubt looks into a refusal that may come from a session that got lost, or from
// one that has done its work. Once, the upload is begun anew for it.
func (u *upload) doubt(ctx context.Context, err error) error {
	var status *statusError
	if !errors.As(err, &status) || !lostUpload(status.Status) || u.arrived(ctx) {
		return unless(u.done, err)
	}
	switch {
	case !u.renewed:
		u.renewed, u.location, status.Again = true, "", true
	case status.Status/100 == 2:
		return refuse("registry ends the upload with status %d, and does not have the blob", status.Status)
	}
	return status
}

// lostUpload reports whether a status is one that registries give for sessions
// that they have lost or finished, or one that says neither yes nor no.
func lostUpload(status int) bool {
	switch status {
	case http.StatusOK, http.StatusAccepted, http.StatusBadRequest, http.StatusNotFound, http.StatusConflict,
		http.StatusGone, http.StatusRequestedRangeNotSatisfiable:
		return true
	}
	return false
}

// begin opens a session, or links the blob from another repository.
func (u *upload) begin(ctx context.Context) (mounted bool, err error) {
	if from := u.mountFrom; from != nil && from.host == u.repo.host {
		if u.mounts++; u.mounts == maxMounts {
			u.mountFrom = nil
		}
		q := url.Values{"mount": {u.desc.Digest.String()}, "from": {from.path}}
		mountCtx := auth.AppendRepositoryScope(ctx, from.oras.Reference, auth.ActionPull)
		u.session, err = u.repo.startUpload(mountCtx, "?"+q.Encode())
		if err != nil && (retryable(err) || ctx.Err() != nil) {
			return false, err
		}
		u.mountFrom = nil // that was its answer
		if err == nil {
			return u.location == "", nil
		}
		// A registry that refuses to mount may well take the bytes.
	}
	err = u.step(ctx, func() (err error) {
		u.session, err = u.repo.startUpload(ctx, "")
		return err
	})
	if err == nil && u.location == "" {
		return false, refuse("registry claims to have a blob that it was not sent")
	}
	return false, err
}

// startUpload opens a session. It has no location when the registry needs no
// upload (it has mounted the blob).
func (r *repository) startUpload(ctx context.Context, query string) (s session, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url("blobs/uploads/")+query, nil)
	if err != nil {
		return s, err
	}
	resp, err := r.http.Do(req)
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusCreated:
		return s, nil
	case http.StatusAccepted:
		// What is no number is no demand.
		s.minChunk, _ = strconv.ParseInt(resp.Header.Get("OCI-Chunk-Min-Length"), 10, 64)
		s.location, err = r.uploadLocation(resp)
		return s, err
	}
	return s, newStatusError(resp)
}

// uploadLocation returns where the next request of an upload goes: the path and
// query that the registry says, at the host and by the scheme already in use.
func (r *repository) uploadLocation(resp *http.Response) (string, error) {
	base := resp.Request.URL
	u, err := base.Parse(resp.Header.Get("Location"))
	if err != nil || resp.Header.Get("Location") == "" {
		return "", refuse("registry gives no usable upload location")
	}
	// Behind a proxy, registries often get their own scheme and port wrong.
	wrongPort := u.Port() != "" && u.Port() != base.Port() && u.Port() != "80" && u.Port() != "443"
	if !strings.EqualFold(u.Hostname(), base.Hostname()) || wrongPort {
		return "", &policyError{
			Msg:  "refused an upload location on another host: " + u.Host,
			Hint: "if " + u.Host + " is the name that the registry has for itself: --registry " + u.Host + ", in place of " + r.host,
		}
	}
	u.Scheme, u.Host, u.User, u.Fragment = base.Scheme, base.Host, nil, ""
	return u.String(), nil
}

// cancelUpload gives up a session. That is a courtesy: registries clean up by
// themselves some day, so whatever comes back does not matter.
func (r *repository) cancelUpload(ctx context.Context, location string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, location, nil)
	if err != nil {
		return
	}
	if resp, err := r.http.Do(req); err == nil {
		resp.Body.Close()
	}
}

// recover asks how much of a broken upload arrived. It reports done when the
// blob is there because only the registry's answer got lost. Without a session to
// go on with, it clears location.
func (u *upload) recover(ctx context.Context) (done bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.location, nil)
	if err != nil {
		return false, err
	}
	var resp *http.Response
	err = u.step(ctx, func() (err error) {
		resp, err = u.repo.http.Do(req)
		return err
	})
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	location := u.location
	u.location = ""
	if resp.StatusCode/100 != 2 {
		err = u.step(ctx, func() (err error) {
			done, err = u.repo.headBlob(ctx, u.desc)
			return err
		})
		if done {
			u.meter.set(u.desc.Size)
		}
		return done, err
	}
	offset, ok := uploadOffset(resp.Header.Get("Range"))
	if !ok || offset > u.desc.Size {
		u.repo.cancelUpload(ctx, location)
		return false, nil
	}
	if resp.Header.Get("Location") != "" {
		if location, err = u.repo.uploadLocation(resp); err != nil {
			return false, err
		}
	}
	u.location, u.offset = location, offset
	return false, nil
}

// uploadOffset reads "0-N" as N+1. Registries say 0-0 for nothing as well as for
// one byte, so that counts as nothing to go on with.
func uploadOffset(header string) (int64, bool) {
	first, last, _ := strings.Cut(strings.TrimPrefix(header, "bytes="), "-")
	n, err := strconv.ParseInt(last, 10, 64)
	return n + 1, err == nil && first == "0" && n > 0
}

// chunk is the size of one request's body, 0 for no limit. Less than the registry
// demands would be refused.
func (u *upload) chunk() int64 {
	if u.src.Chunk <= 0 {
		return 0
	}
	return max(u.src.Chunk, u.minChunk)
}

// sendAll sends the whole blob, in one request where that is allowed.
func (u *upload) sendAll(ctx context.Context) error {
	if chunk := u.chunk(); chunk > 0 && u.desc.Size > chunk {
		return u.sendRest(ctx)
	}
	resp, err := u.send(ctx, http.MethodPut, 0, u.desc.Size)
	if err != nil {
		return err
	}
	return u.created(resp)
}

// sendRest sends what the registry lacks, then ends the session.
func (u *upload) sendRest(ctx context.Context) error {
	for u.offset < u.desc.Size {
		end := u.desc.Size
		if chunk := u.chunk(); chunk > 0 {
			end = min(end, u.offset+chunk)
		}
		if err := u.sendPart(ctx, end); err != nil || u.done {
			return err
		}
	}
	return u.complete(ctx)
}

// complete ends a session that has the whole blob.
func (u *upload) complete(ctx context.Context) error {
	resp, err := u.send(ctx, http.MethodPut, u.desc.Size, u.desc.Size)
	if err != nil {
		return err
	}
	return u.created(resp)
}

// sendPart appends to the session up to end.
func (u *upload) sendPart(ctx context.Context, end int64) error {
	resp, err := u.send(ctx, http.MethodPatch, u.offset, end)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode/100 != 2:
		return newStatusError(resp)
	case resp.StatusCode == http.StatusCreated && end == u.desc.Size && u.arrived(ctx):
		return nil
	}
	if u.location, err = u.repo.uploadLocation(resp); err != nil {
		return err
	}
	u.offset = end
	return nil
}

// send makes one request with the blob's bytes from offset up to end.
func (u *upload) send(ctx context.Context, method string, offset, end int64) (*http.Response, error) {
	target, err := url.Parse(u.location)
	if err != nil {
		return nil, err
	}
	if method == http.MethodPut {
		q := target.Query()
		q.Set("digest", u.desc.Digest.String())
		target.RawQuery = q.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	if left := end - offset; left > 0 {
		req.GetBody = func() (io.ReadCloser, error) { return u.meter.open(u.src, offset, end, u.desc.Size) }
		if req.Body, err = req.GetBody(); err != nil {
			return nil, err
		}
		req.ContentLength = left
	}
	if method == http.MethodPatch {
		req.Header.Set("Content-Range", fmt.Sprintf("%d-%d", offset, end-1))
	}
	resp, err := u.repo.http.Do(req)
	if failed := u.meter.failed(); failed != nil {
		if err == nil {
			resp.Body.Close()
		}
		return nil, failed
	}
	return resp, err
}

// created checks the answer to the request that completes an upload.
func (u *upload) created(resp *http.Response) error {
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusNoContent {
		return newStatusError(resp)
	}
	if got := resp.Header.Get("Docker-Content-Digest"); got != "" && got != u.desc.Digest.String() {
		return refuse("registry stored the blob as %s", printable(got))
	}
	u.location = ""
	return nil
}
