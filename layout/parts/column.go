package parts

import (
	"fmt"
	"io"

	"bundle/layout/parity"
)

// NewParity says how a set is protected by so many columns of parity. data is how
// many columns a file in one part is cut into; of more parts, each is a column.
func (s *Set) NewParity(columns, data int) (*Parity, error) {
	if !s.Whole() {
		data = len(s.Parts)
	}
	p := &Parity{Data: data, Parity: columns}
	if err := parity.Check(data, columns); err != nil {
		return nil, &SizeError{err.Error()}
	}
	p.Blocks = s.blocks(data)
	return p, nil
}

// blocks is how many blocks the longest column has.
func (s *Set) blocks(data int) int64 {
	longest := s.longest()
	if s.Whole() {
		longest = (s.Size + int64(data) - 1) / int64(data)
	}
	return (longest + parity.BlockSize - 1) / parity.BlockSize
}

func (s *Set) longest() (n int64) {
	for _, p := range s.Parts {
		n = max(n, p.Size)
	}
	return n
}

// ParitySize is the size of each column of parity, in bytes: that of the longest
// column of data.
func (s *Set) ParitySize() int64 { return min(s.longest(), s.Parity.Blocks*parity.BlockSize) }

// parityBlock is how many bytes a block of parity has.
func (s *Set) parityBlock(b int64) int64 { return min(s.ParitySize()-b<<blockBits, parity.BlockSize) }

func (s *Set) checkParity() error {
	p := s.Parity
	switch {
	case p == nil:
		return nil
	case parity.Check(p.Data, p.Parity) != nil:
		return parity.Check(p.Data, p.Parity)
	case !s.Whole() && p.Data != len(s.Parts):
		return fmt.Errorf("parity over %d columns, of %d parts", p.Data, len(s.Parts))
	case p.Blocks != s.blocks(p.Data):
		return fmt.Errorf("parity over %d blocks, not %d", p.Blocks, s.blocks(p.Data))
	}
	return nil
}

// column says which slice of the bundle a column of data is.
func (s *Set) column(i int) (offset, size int64) {
	if !s.Whole() {
		return s.Parts[i].Offset, s.Parts[i].Size
	}
	each := s.Parity.Blocks * parity.BlockSize
	offset = min(int64(i)*each, s.Size)
	return offset, min(each, s.Size-offset)
}

// columnAt says which column of data a byte of the bundle lies in.
func (s *Set) columnAt(offset int64) int {
	if s.Whole() {
		return int(offset / (s.Parity.Blocks * parity.BlockSize))
	}
	return s.partAt(offset) - 1
}

// ColumnName is how people know a column.
func (s *Set) ColumnName(i int) string {
	switch {
	case i >= s.Parity.Data:
		return s.ParityName(i - s.Parity.Data + 1)
	case s.Whole():
		return fmt.Sprintf("column %d of %s", i+1, s.Name)
	}
	return s.PartName(i + 1)
}

// Columns gives the columns of data of a set out of the whole bundle.
func (s *Set) Columns(whole io.ReaderAt) func(int) Column {
	return func(c int) Column {
		begin, size := s.column(c)
		return io.NewSectionReader(whole, begin, size)
	}
}
