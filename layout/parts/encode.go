package parts

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"bundle/layout/parity"
)

// A Column is one column of data, with its size.
type Column interface {
	io.ReaderAt
	Size() int64
}

// EncodeParity computes the columns of parity of a set, and the list of blocks.
// data gives the columns of data: the parts, or slices of the file. Each stripe is
// read once, its columns beside each other, as they may lie on several media, while
// the parity of the one before is written. Two are in memory.
func EncodeParity(ctx context.Context, s *Set, data func(c int) Column, out []io.Writer, told func(int64)) (*parity.Sums, error) {
	p := s.Parity
	code, err := parity.New(p.Data, p.Parity)
	if err != nil {
		return nil, err
	}
	e := &encoder{set: s, sums: s.NewSums(), out: out, told: told}
	for c := range p.Data {
		e.columns = append(e.columns, data(c))
	}
	var pool parity.Stripes
	now, before := pool.Get(p.Data+p.Parity), pool.Get(p.Data+p.Parity)
	var writing errgroup.Group
	for b := range p.Blocks {
		err := e.read(ctx, b, now)
		if err == nil {
			err = code.Encode(now)
		}
		if werr := writing.Wait(); err != nil || werr != nil {
			return nil, errors.Join(err, werr)
		}
		stripe := now
		writing = errgroup.Group{}
		writing.Go(func() error { return e.write(b, stripe) })
		now, before = before, now
	}
	if err := writing.Wait(); err != nil {
		return nil, err
	}
	for c := range p.Data + p.Parity {
		e.sums.Done(c)
	}
	return e.sums, nil
}

// An encoder computes parity stripe by stripe.
type encoder struct {
	set     *Set
	sums    *parity.Sums
	columns []Column
	out     []io.Writer
	told    func(int64)
}

// atOnce is how many columns of a stripe are read or written at once.
const atOnce = 16

// read reads the data of a stripe.
func (e *encoder) read(ctx context.Context, b int64, stripe [][]byte) error {
	var g errgroup.Group
	g.SetLimit(atOnce)
	for c, col := range e.columns {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			n, err := readBlock(col, b, stripe[c])
			if err != nil {
				return fmt.Errorf("%s: %w", e.set.ColumnName(c), err)
			}
			e.sums.Set(c, b, parity.Sum(stripe[c][:n]))
			e.told(n)
			return nil
		})
	}
	return g.Wait()
}

// write writes the parity of a stripe.
func (e *encoder) write(b int64, stripe [][]byte) error {
	var g errgroup.Group
	g.SetLimit(atOnce)
	for k, w := range e.out {
		g.Go(func() error {
			c := e.set.Parity.Data + k
			block := stripe[c][:e.set.parityBlock(b)]
			e.sums.Set(c, b, parity.Sum(block))
			_, err := w.Write(block)
			return err
		})
	}
	return g.Wait()
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
