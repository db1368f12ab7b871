package layout

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/opencontainers/go-digest"
)

// content checks bytes that pass by against a size and a digest.
type content struct {
	want digest.Digest
	left int64 // bytes that are still to come
	size int64
	hash hash.Hash
}

func newContent(size int64, want digest.Digest) content {
	return content{want: want, left: size, size: size, hash: sha256.New()}
}

func (c *content) add(p []byte) {
	c.hash.Write(p)
	c.left -= int64(len(p))
}

// check says what is wrong with the whole; "" is fine.
func (c *content) check() string {
	if c.left > 0 {
		return fmt.Sprintf("ends after %d of %d bytes", c.size-c.left, c.size)
	}
	got := digest.NewDigest(digest.SHA256, c.hash)
	if got != c.want {
		return fmt.Sprintf("content has the digest %s", got)
	}
	return ""
}

// verifyingReader passes on content that has a known size and digest. The
// last bytes of wrong content are withheld: a caller that reads exactly size
// bytes and never sees the end gets the error as well.
type verifyingReader struct {
	content
	src  io.Reader
	fail func(what string) error // makes the error for wrong content
	wrap func(error) error       // names the subject of an error of src
	err  error
}

// Verifying reads content of a known size and digest that comes from elsewhere than a
// bundle. As with [Reader.OpenBlob], wrong content never comes whole: its last bytes
// are the error that fail makes.
func Verifying(src io.Reader, size int64, want digest.Digest, fail func(what string) error) io.Reader {
	return &verifyingReader{
		content: newContent(size, want), src: src, fail: fail,
		wrap: func(err error) error { return err },
	}
}

func (r *verifyingReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.left == 0 { // only for empty content
		r.finish()
		return 0, r.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if int64(len(p)) > r.left {
		p = p[:r.left]
	}
	n, err := r.src.Read(p)
	r.add(p[:n])
	switch {
	case r.left == 0:
		if r.finish(); r.err != io.EOF {
			return 0, r.err
		}
	case errors.Is(err, io.EOF):
		r.err = r.fail(r.check())
	case err != nil:
		r.err = r.wrap(err)
	}
	if r.err == io.EOF {
		return n, nil
	}
	return n, r.err
}

// finish sets the error that ends the reading: io.EOF where all is right.
func (r *verifyingReader) finish() {
	if what := r.check(); what != "" {
		r.err = r.fail(what)
		return
	}
	var more [1]byte
	if n, _ := io.ReadFull(r.src, more[:]); n > 0 {
		r.err = r.fail(fmt.Sprintf("is longer than %d bytes", r.size))
		return
	}
	r.err = io.EOF
}
