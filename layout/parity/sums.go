package parity

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Sums has the CRC-32C of every block of every column.
type Sums struct {
	ID           [32]byte // of what is protected
	Data, Parity int      // columns
	Blocks       int64    // in the longest column
	crc          []uint32 // column by column
	known        []bool   // per column
}

// NewSums returns a list in which no column is known yet.
func NewSums(id [32]byte, data, parity int, blocks int64) *Sums {
	return &Sums{ID: id, Data: data, Parity: parity, Blocks: blocks,
		crc: make([]uint32, int64(data+parity)*blocks), known: make([]bool, data+parity)}
}

// Set notes the sum of one block.
func (s *Sums) Set(column int, block int64, crc uint32) {
	s.crc[int64(column)*s.Blocks+block] = crc
}

// Done says that all blocks of a column were Set. Those beyond its end are 0.
func (s *Sums) Done(column int) { s.known[column] = true }

// At returns the sum of a block, where its column is known.
func (s *Sums) At(column int, block int64) (crc uint32, known bool) {
	return s.crc[int64(column)*s.Blocks+block], s.known[column]
}

// Merge takes over what another list of the same set knows. It reports false
// where both know a column and differ.
func (s *Sums) Merge(o *Sums) bool {
	if s.ID != o.ID || s.Data != o.Data || s.Parity != o.Parity || s.Blocks != o.Blocks {
		return false
	}
	same := true
	for c := range s.known {
		from, to := int64(c)*s.Blocks, int64(c+1)*s.Blocks
		switch {
		case !o.known[c]:
		case s.known[c]:
			for i := from; i < to; i++ {
				same = same && s.crc[i] == o.crc[i]
			}
		default:
			copy(s.crc[from:to], o.crc[from:to])
			s.known[c] = true
		}
	}
	return same
}

const (
	sumsMagic = "bundle blocks 1\n"
	sumsHead  = len(sumsMagic) + 32 + 2 + 2 + 8
	// MaxBlocks bounds a column: 64 TiB.
	MaxBlocks = 1 << 26
	// MaxSums bounds the list: 16 Mi blocks, which protect 16 TiB. In bytes.
	MaxSums = 64 << 20
)

// Format returns the list as it is written: a line of text; id; numbers of
// columns in 16 bits and of blocks in 64; for each column a byte, 1 where it is
// known; the sums, column by column; and the CRC-32C of all that. Numbers are
// big-endian.
func (s *Sums) Format() []byte {
	var b bytes.Buffer
	b.WriteString(sumsMagic)
	b.Write(s.ID[:])
	b.Write(binary.BigEndian.AppendUint16(nil, uint16(s.Data)))
	b.Write(binary.BigEndian.AppendUint16(nil, uint16(s.Parity)))
	b.Write(binary.BigEndian.AppendUint64(nil, uint64(s.Blocks)))
	for _, k := range s.known {
		if k {
			b.WriteByte(1)
		} else {
			b.WriteByte(0)
		}
	}
	for _, c := range s.crc {
		b.Write(binary.BigEndian.AppendUint32(nil, c))
	}
	b.Write(binary.BigEndian.AppendUint32(nil, Sum(b.Bytes())))
	return b.Bytes()
}

// SumsSize is what a list of so many columns of blocks has, in bytes.
func SumsSize(columns int, blocks int64) int64 {
	return int64(sumsHead+columns+4) + 4*int64(columns)*blocks
}

// ParseSums is the inverse of Format.
func ParseSums(b []byte) (*Sums, error) {
	if len(b) < sumsHead+4 || !bytes.HasPrefix(b, []byte(sumsMagic)) {
		return nil, errors.New("not a list of blocks")
	}
	at := len(sumsMagic)
	s := new(Sums)
	copy(s.ID[:], b[at:])
	s.Data, s.Parity = int(binary.BigEndian.Uint16(b[at+32:])), int(binary.BigEndian.Uint16(b[at+34:]))
	blocks := binary.BigEndian.Uint64(b[at+36:])
	if err := Check(s.Data, s.Parity); err != nil {
		return nil, fmt.Errorf("list of blocks: %w", err)
	}
	columns := s.Data + s.Parity
	if blocks == 0 || blocks > MaxBlocks || int64(len(b)) != SumsSize(columns, int64(blocks)) {
		return nil, fmt.Errorf("list of blocks: %d blocks in %d columns do not make %d bytes", blocks, columns, len(b))
	}
	if end := len(b) - 4; binary.BigEndian.Uint32(b[end:]) != Sum(b[:end]) {
		return nil, errors.New("list of blocks: damaged")
	}
	s.Blocks = int64(blocks)
	at = sumsHead
	for _, k := range b[at : at+columns] {
		if k > 1 {
			return nil, errors.New("list of blocks: a column is neither known nor unknown")
		}
		s.known = append(s.known, k == 1)
	}
	at += columns
	s.crc = make([]uint32, columns*int(blocks))
	for i := range s.crc {
		s.crc[i] = binary.BigEndian.Uint32(b[at+4*i:])
	}
	return s, nil
}

// ReadSums reads a list, no more than MaxSums of it.
func ReadSums(r io.Reader) (*Sums, error) {
	b, err := io.ReadAll(io.LimitReader(r, MaxSums+1))
	if err != nil {
		return nil, err
	}
	if len(b) > MaxSums {
		return nil, fmt.Errorf("list of blocks: more than %d bytes", MaxSums)
	}
	return ParseSums(b)
}
