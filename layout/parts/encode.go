package parts

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"

	"bundle/layout/parity"
)

// A Column is one column of data, with its size.
type Column interface {
	io.ReaderAt
	Size() int64
}

// EncodeParity computes the columns of parity of a set, and the list of blocks.
// data gives the columns of data: the parts, or slices of the file. Each stripe is
// read once, and one is in memory.
func EncodeParity(ctx context.Context, s *Set, data func(c int) Column, out []io.Writer, told func(int64)) (*parity.Sums, error) {
	p := s.Parity
	code, err := parity.New(p.Data, p.Parity)
	if err != nil {
		return nil, err
	}
	sums := s.NewSums()
	var pool parity.Stripes
	stripe := pool.Get(p.Data + p.Parity)
	columns := make([]Column, p.Data)
	for c := range columns {
		columns[c] = data(c)
	}
	for b := range p.Blocks {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for c, col := range columns {
			n, err := readBlock(col, b, stripe[c])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.ColumnName(c), err)
			}
			sums.Set(c, b, parity.Sum(stripe[c][:n]))
			told(n)
		}
		if err := code.Encode(stripe); err != nil {
			return nil, err
		}
		for k, w := range out {
			block := stripe[p.Data+k][:s.parityBlock(b)]
			sums.Set(p.Data+k, b, parity.Sum(block))
			if _, err := w.Write(block); err != nil {
				return nil, err
			}
		}
	}
	for c := range p.Data + p.Parity {
		sums.Done(c)
	}
	return sums, nil
}

// readBlock reads a block of a column and fills it up with zeros. It returns how
// many bytes there were.
func readBlock(col Column, b int64, into []byte) (int64, error) {
	n := max(min(parity.BlockSize, col.Size()-b<<blockBits), 0)
	if m, err := col.ReadAt(into[:n], b<<blockBits); int64(m) < n {
		return 0, err
	}
	clear(into[n:])
	return n, nil
}

// NewSums returns a list of blocks of the set, with no column known.
func (s *Set) NewSums() *parity.Sums {
	var id [32]byte
	_, _ = hex.Decode(id[:], []byte(s.ID)) // it was checked
	return parity.NewSums(id, s.Parity.Data, s.Parity.Parity, s.Parity.Blocks)
}

// AddColumn brings one column of data into columns of parity that were begun:
// from old, which is nil at first, to out. It notes the blocks of the column, and
// returns the sums of those of parity as they are now.
func AddColumn(ctx context.Context, s *Set, c int, col Column, old []io.ReaderAt, out []io.Writer, sums *parity.Sums) error {
	p := s.Parity
	code, err := parity.New(p.Data, p.Parity)
	if err != nil {
		return err
	}
	var pool parity.Stripes
	stripe := pool.Get(p.Parity + 1)
	for b := range p.Blocks {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := readBlock(col, b, stripe[p.Parity])
		if err != nil {
			return fmt.Errorf("%s: %w", s.ColumnName(c), err)
		}
		sums.Set(c, b, parity.Sum(stripe[p.Parity][:n]))
		for k := range p.Parity {
			n := s.parityBlock(b)
			clear(stripe[k][n:])
			if old == nil {
				clear(stripe[k])
			} else if m, err := old[k].ReadAt(stripe[k][:n], b<<blockBits); int64(m) < n {
				return fmt.Errorf("%s: %w", s.ParityName(k+1), err)
			}
		}
		if err := code.Add(c, stripe[p.Parity], stripe[:p.Parity]); err != nil {
			return err
		}
		for k, w := range out {
			block := stripe[k][:s.parityBlock(b)]
			sums.Set(p.Data+k, b, parity.Sum(block))
			if _, err := w.Write(block); err != nil {
				return err
			}
		}
	}
	sums.Done(c)
	return nil
}
