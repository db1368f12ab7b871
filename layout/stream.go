package layout

import (
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
)

// Stream writes the bundle to w from its first byte to its last: the same
// bytes as a [Writer], for a destination that cannot seek. open is called for
// each blob without Data, in the order of the plan; its content is checked
// while it passes. After an error, what w got is a truncated bundle.
func Stream(w io.Writer, p *Plan, open func(digest.Digest) (io.ReadCloser, error)) error {
	for i, e := range p.entries {
		block, err := p.header(i)
		if err != nil {
			return fmt.Errorf("stream bundle: %w", err)
		}
		if _, err := w.Write(append(block, p.data[i]...)); err != nil {
			return fmt.Errorf("stream bundle: entry %s: %w", e.Name, err)
		}
		if p.data[i] == nil {
			if err := streamBlob(w, e, open); err != nil {
				return fmt.Errorf("stream bundle: entry %s: %w", e.Name, err)
			}
		}
		if _, err := w.Write(zeros[:padding(e.Size)]); err != nil {
			return fmt.Errorf("stream bundle: entry %s: %w", e.Name, err)
		}
	}
	if _, err := w.Write(make([]byte, trailerSize)); err != nil {
		return fmt.Errorf("stream bundle: end: %w", err)
	}
	return nil
}

func streamBlob(w io.Writer, e Entry, open func(digest.Digest) (io.ReadCloser, error)) error {
	d, _ := BlobDigest(e.Name)
	src, err := open(d)
	if err != nil {
		return err
	}
	defer src.Close()
	r := &verifyingReader{
		content: newContent(e.Size, d),
		src:     src,
		fail:    func(what string) error { return contentErrorf(e.Name, "%s", what) },
		wrap:    func(err error) error { return err },
	}
	_, err = io.Copy(w, r)
	return err
}
