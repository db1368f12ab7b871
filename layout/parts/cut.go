package parts

import (
	"fmt"

	"bundle/layout"
)

// A SizeError is a size of parts that a bundle cannot be cut into.
type SizeError struct{ What string }

// Error says what is wrong with the size.
func (e *SizeError) Error() string { return e.What }

// A Cutting says what is to be cut.
type Cutting struct {
	Name    string         // of the bundle, no path
	ID      string         // SHA-256 of its SHA256SUMS, in hex
	Created int64          // seconds since 1970
	Entries []layout.Entry // all of them, in order
	Head    int64          // bytes before the first layer; see [Set]
	Part    int64          // the most bytes that a part may have; 0: one part
}

// Cut decides where parts begin: between entries wherever an entry fits into a
// part, so that a part holds whole blobs; only one that is larger than a part is
// cut inside. A size that cannot be is a [*SizeError].
func Cut(c Cutting) (*Set, error) {
	s := &Set{Version: SetVersion, ID: c.ID, Name: c.Name, Created: c.Created, Head: c.Head}
	last := c.Entries[len(c.Entries)-1]
	s.Size = last.Offset - layout.BlockSize + layout.Footprint(last.Size) + layout.TrailerSize
	room := s.Size
	if c.Part > 0 && c.Part < s.Size {
		room = (c.Part - layout.TrailerSize) &^ (layout.BlockSize - 1)
	}
	if room < c.Head+layout.BlockSize {
		return nil, &SizeError{fmt.Sprintf("parts of %d bytes are too small: %d bytes stand before the first layer", c.Part, c.Head)}
	}
	if room < s.Size && s.Size/room > MaxParts {
		return nil, &SizeError{fmt.Sprintf("parts of %d bytes are too small: there would be more than %d", c.Part, MaxParts)}
	}
	part := Part{Size: c.Head}
	next := func() {
		s.Parts = append(s.Parts, part)
		part = Part{Offset: part.Offset + part.Size}
	}
	for _, e := range c.Entries {
		if e.Offset < c.Head {
			continue
		}
		need := layout.Footprint(e.Size)
		// The header of a blob that is cut stands before at least one block of it.
		if part.Size+need > room && need <= room || part.Size+2*layout.BlockSize > room {
			next()
		}
		part.Blobs = append(part.Blobs, formatBlob(e))
		for need > room-part.Size {
			need -= room - part.Size
			part.Size = room
			next()
		}
		part.Size += need
	}
	if part.Size == 0 { // the last entry ended with its part
		part = s.Parts[len(s.Parts)-1]
		s.Parts = s.Parts[:len(s.Parts)-1]
	}
	part.Size += layout.TrailerSize
	s.Parts = append(s.Parts, part)
	for i := range s.Parts {
		s.Parts[i].Name = s.PartName(i + 1)
	}
	if err := s.check(); err != nil {
		return nil, &SizeError{err.Error()}
	}
	return s, nil
}
