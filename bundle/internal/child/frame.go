package child

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// A frame is one message between parent and child: a kind, the number of the request
// that it is about, and a body.
type frame struct {
	kind byte
	id   uint32
	body string
}

// Kinds of frames: two to the child, the others back.
const (
	setupFrame  = 'S' // what the requests that follow are about
	askFrame    = 'Q'
	noteFrame   = 'N' // what the child works at
	answerFrame = 'A'
	lastFrame   = 'L' // an answer after which the child ends
	failFrame   = 'F' // the child could not be set up; the body says why
)

const headSize = 1 + 4 + 8

// maxNote limits the body of a note, in bytes.
const maxNote = 4 << 10

func writeFrame(w io.Writer, kind byte, id uint32, body []byte) error {
	head := make([]byte, headSize, headSize+min(len(body), 4<<10))
	head[0] = kind
	binary.BigEndian.PutUint32(head[1:], id)
	binary.BigEndian.PutUint64(head[5:], uint64(len(body)))
	if len(body) <= cap(head)-headSize {
		_, err := w.Write(append(head, body...))
		return err
	}
	if _, err := w.Write(head); err != nil {
		return err
	}
	_, err := w.Write(body)
	return err
}

// readFrame reads a frame with a body of at most so many bytes; io.EOF is a stream
// that ends where one could begin.
func readFrame(r io.Reader, limit int64) (frame, error) {
	var head [headSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return frame{}, err
	}
	f := frame{kind: head[0], id: binary.BigEndian.Uint32(head[1:])}
	size := binary.BigEndian.Uint64(head[5:])
	switch {
	case f.kind == noteFrame && size > maxNote, size > uint64(limit):
		return frame{}, fmt.Errorf("a message of %d bytes", size)
	case !strings.ContainsRune("SQNALF", rune(f.kind)):
		return frame{}, fmt.Errorf("a message of kind %q", f.kind)
	}
	var b strings.Builder
	b.Grow(int(min(size, 16<<20))) // what is announced may not come
	if _, err := io.CopyN(&b, r, int64(size)); err != nil {
		return frame{}, fmt.Errorf("a message that breaks off: %w", err)
	}
	f.body = b.String()
	return f, nil
}
