package push

import (
	"context"
	"crypto/sha256"
	"encoding"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/open"
	"bundle/bundle/internal/remote"
	"bundle/layout"
)

// A held blob is cut over media that are never there together. The registry keeps
// what it was sent until the next medium is.
type held struct {
	*remote.HeldUpload
	repo string
	hash []byte // state of SHA-256 up to Offset
}

// sent says how much of a blob the registry keeps.
func (p *Pusher) sent(d digest.Digest) int64 {
	if h := p.held[d]; h != nil {
		return h.Offset()
	}
	return 0
}

// pushPieces sends what is there of blobs that are cut. What is complete by that is no
// longer absent.
func (r *run) pushPieces(ctx context.Context) error {
	if !r.Hold {
		return nil
	}
	var total int64
	ends := make(map[digest.Digest]int64)
	for _, u := range r.todo.absent {
		at := r.sent(u.desc.Digest)
		ends[u.desc.Digest] = r.Bundle.Reach(u.desc.Digest, at)
		total += ends[u.desc.Digest] - at
	}
	if total == 0 {
		return nil
	}
	r.Pr.Phase("pushing pieces of layers", total)
	defer r.Pr.End()
	var absent []*upload
	var damage []error
	for _, u := range r.todo.absent {
		done, err := r.pushPiece(ctx, u, ends[u.desc.Digest])
		if ofBundle(err) {
			damage, err = append(damage, err), nil
		}
		if err != nil {
			return err
		}
		if !done {
			absent = append(absent, u)
		}
	}
	r.todo.absent = absent
	return errors.Join(damage...)
}

// pushPiece sends a blob up to end, and reports whether that was the rest of it.
func (r *run) pushPiece(ctx context.Context, u *upload, end int64) (done bool, err error) {
	d := u.desc.Digest
	h := r.held[d]
	if h == nil || !slices.Contains(u.missing, h.repo) {
		up, err := r.Client.HoldUpload(u.missing[0], u.desc)
		if err != nil {
			return false, err
		}
		h = &held{HeldUpload: up, repo: u.missing[0]}
	}
	from := h.Offset()
	if end == from {
		return false, nil
	}
	if r.held == nil {
		r.held = make(map[digest.Digest]*held)
	}
	r.held[d] = h
	res, err := h.send(ctx, r.Bundle, u.desc, remote.BlobRange{From: from, To: end}, remote.BlobSource{Chunk: r.Chunk, Progress: r.Pr.Add})
	r.count(u, res)
	switch {
	case errors.Is(err, remote.ErrUploadLost):
		h.hash = nil
		return false, nil
	case ofBundle(err):
		h.Cancel(ctx)
		h.hash = nil
		return false, fmt.Errorf("%s: %w", u.source, r.explain(ctx, u.desc, err))
	case err != nil:
		if err := r.bear(blobKey(h.repo, d), err); err != nil {
			return false, fmt.Errorf("%s: %w", u.source, err)
		}
		return false, nil
	case end < u.desc.Size:
		return false, nil
	}
	delete(r.held, d)
	return true, r.spread(ctx, u, h.repo)
}

// spread brings a blob that one repository has into the others.
func (r *run) spread(ctx context.Context, u *upload, from string) error {
	for _, repo := range u.missing {
		if repo == from {
			continue
		}
		res, err := r.Client.PushBlob(ctx, repo, u.desc, remote.BlobSource{
			Open:      func() (io.ReadCloser, error) { return r.Client.Blob(ctx, from, u.desc) },
			MountFrom: from, Missing: true, Chunk: r.Chunk,
		})
		r.count(u, res)
		if err == nil {
			continue
		}
		if err := r.bear(blobKey(repo, u.desc.Digest), err); err != nil {
			return fmt.Errorf("%s: %w", u.source, err)
		}
	}
	return nil
}

// send sends a piece, and keeps the state of the hash behind it.
func (h *held) send(ctx context.Context, b *open.Bundle, d ocispec.Descriptor, part remote.BlobRange, src remote.BlobSource) (remote.PushResult, error) {
	var last *piece
	src.OpenAt = func(offset int64) (io.ReadCloser, error) {
		p, err := h.piece(b, d, part)
		if err == nil {
			_, err = io.CopyN(io.Discard, p, offset-part.From)
		}
		last = p
		return p, err
	}
	res, err := h.Send(ctx, part.To, src)
	if err != nil || part.To == d.Size {
		return res, err
	}
	if last == nil || last.at < part.To {
		return res, errors.New("a piece of a layer was not read to its end") // it was, or it would not have been sent
	}
	h.hash, err = last.hash.(encoding.BinaryMarshaler).MarshalBinary()
	return res, err
}

// A piece reads a part of a blob. The last one gives its last bytes only if all of
// them, with those that were read before, have the digest.
type piece struct {
	bundle *open.Bundle
	desc   ocispec.Descriptor
	at, to int64
	hash   hash.Hash
}

func (h *held) piece(b *open.Bundle, d ocispec.Descriptor, part remote.BlobRange) (*piece, error) {
	p := &piece{b, d, part.From, part.To, sha256.New()}
	if part.From == 0 {
		return p, nil
	}
	return p, p.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(h.hash)
}

// Read implements io.Reader.
func (p *piece) Read(buf []byte) (int, error) {
	if p.at == p.to {
		return 0, io.EOF
	}
	buf = buf[:min(int64(len(buf)), p.to-p.at)]
	if err := p.bundle.Reader.ReadBlobAt(p.desc.Digest, buf, p.at); err != nil {
		return 0, err
	}
	p.hash.Write(buf)
	p.at += int64(len(buf))
	if got := digest.NewDigest(digest.SHA256, p.hash); p.at == p.desc.Size && got != p.desc.Digest {
		return 0, &layout.FormatError{Entry: layout.BlobName(p.desc.Digest), Offset: p.at, What: "content has the digest " + got.String()}
	}
	return len(buf), nil
}

// Close implements io.Closer: nothing of its own is open.
func (*piece) Close() error { return nil }
