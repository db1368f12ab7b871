// Package parity protects columns of bytes with a Reed–Solomon code: of data and
// parity columns together, as many may be lost as there are parity columns.
//
// Columns are cut into blocks of 1 MiB; the blocks of one number in all columns
// are a stripe, and a stripe is whole again when at most Parity of its blocks are
// lost, whichever columns they are in. A column that ends early counts as filled
// up with zeros. [Sums] has a CRC-32C of each block, which tells which are lost.
//
//	code, err := parity.New(5, 2)
//	err = code.Encode(stripe)       // stripe[5] and stripe[6] are computed
//	err = code.Reconstruct(stripe)  // those of length 0 are computed
//
// The contract: every pattern of at most Parity lost blocks in a stripe is repaired
// to the same bytes; every other is a [*LostError]. The package knows bytes and
// numbers and nothing else: no files, no bundles.
package parity

import (
	"fmt"
	"hash/crc32"
	"slices"
	"sync"

	"github.com/klauspost/reedsolomon"
)

const (
	// BlockSize is the unit of loss, in bytes.
	BlockSize = 1 << 20
	// MaxColumns is how many columns a code can have, parity included (GF(2^8)).
	MaxColumns = 256
)

// A Code computes parity over stripes. It may be used concurrently.
type Code struct {
	Data, Parity int
	rs           reedsolomon.Encoder
}

// New returns the code for so many columns.
func New(data, parity int) (*Code, error) {
	if err := Check(data, parity); err != nil {
		return nil, err
	}
	rs, err := reedsolomon.New(data, parity, reedsolomon.WithMaxGoroutines(1))
	if err != nil {
		return nil, fmt.Errorf("parity code: %w", err)
	}
	return &Code{data, parity, rs}, nil
}

// Check refuses numbers of columns that no code has.
func Check(data, parity int) error {
	if data < 1 || parity < 1 || data > MaxColumns || parity > MaxColumns || data+parity > MaxColumns {
		return fmt.Errorf("%d columns of data and %d of parity: want 1 or more of each and at most %d together", data, parity, MaxColumns)
	}
	return nil
}

// Encode computes the parity blocks of a stripe and proves that they fit. All
// blocks have one length.
func (c *Code) Encode(stripe [][]byte) error {
	if err := c.rs.Encode(stripe); err != nil {
		return fmt.Errorf("compute parity: %w", err)
	}
	if ok, err := c.rs.Verify(stripe); !ok || err != nil {
		return fmt.Errorf("compute parity: the result does not fit (%v): trust this machine's memory no more", err)
	}
	return nil
}

// Add brings one data block into the parity of its stripe, which begins as zeros:
// for who never has all columns at once.
func (c *Code) Add(column int, block []byte, parity [][]byte) error {
	if err := c.rs.EncodeIdx(block, column, parity); err != nil {
		return fmt.Errorf("compute parity: %w", err)
	}
	return nil
}

// LostError says that more blocks of a stripe are lost than parity makes up for.
type LostError struct{ Lost, Parity int }

// Error gives both numbers.
func (e *LostError) Error() string {
	return fmt.Sprintf("%d blocks of a stripe are lost, parity makes up for %d", e.Lost, e.Parity)
}

// Reconstruct computes the blocks that are lost: those of length 0. Their capacity
// is used where it is enough.
func (c *Code) Reconstruct(stripe [][]byte) error {
	lost := 0
	for _, b := range stripe {
		if len(b) == 0 {
			lost++
		}
	}
	if lost > c.Parity {
		return &LostError{lost, c.Parity}
	}
	if err := c.rs.Reconstruct(stripe); err != nil {
		return fmt.Errorf("reconstruct: %w", err)
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Sum is the CRC-32C (RFC 3720) of a block, as it is in the file: the last one of
// a column may be short.
func Sum(block []byte) uint32 { return crc32.Checksum(block, castagnoli) }

// Stripes lends stripes: they are large.
type Stripes struct {
	pool sync.Pool
}

// Get returns n blocks of BlockSize bytes, with anything in them.
func (s *Stripes) Get(n int) [][]byte {
	got, _ := s.pool.Get().(*[][]byte)
	if got != nil && len(*got) == n {
		for i, b := range *got {
			(*got)[i] = b[:BlockSize]
		}
		return *got
	}
	return reedsolomon.AllocAligned(n, BlockSize)
}

// Put gives them back.
func (s *Stripes) Put(stripe [][]byte) {
	if !slices.ContainsFunc(stripe, func(b []byte) bool { return cap(b) < BlockSize }) {
		s.pool.Put(&stripe)
	}
}
