package parity

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"testing"
)

// stripe makes data of a seed, with its parity.
func stripe(t testing.TB, code *Code, size int, seed uint64) [][]byte {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	all := make([][]byte, code.Data+code.Parity)
	for i := range all {
		all[i] = make([]byte, size)
		if i < code.Data {
			for j := range all[i] {
				all[i][j] = byte(r.Uint32())
			}
		}
	}
	if err := code.Encode(all); err != nil {
		t.Fatal(err)
	}
	return all
}

// Every pattern of at most Parity lost blocks is repaired to the same bytes; every
// other is refused.
func TestEveryPattern(t *testing.T) {
	for _, n := range []struct{ data, parity int }{{1, 1}, {5, 2}, {4, 4}, {3, 1}, {8, 3}} {
		code, err := New(n.data, n.parity)
		if err != nil {
			t.Fatal(err)
		}
		want := stripe(t, code, 1000, uint64(n.data))
		columns := n.data + n.parity
		for lost := range 1 << columns {
			got := make([][]byte, columns)
			count := 0
			for c := range got {
				if lost>>c&1 == 1 {
					count++
					got[c] = make([]byte, 0, 1000)
				} else {
					got[c] = bytes.Clone(want[c])
				}
			}
			err := code.Reconstruct(got)
			var refused *LostError
			if count > n.parity {
				if !errors.As(err, &refused) || refused.Lost != count {
					t.Fatalf("%d+%d, %b lost: %v", n.data, n.parity, lost, err)
				}
				continue
			}
			if err != nil {
				t.Fatalf("%d+%d, %b lost: %v", n.data, n.parity, lost, err)
			}
			for c := range got {
				if !bytes.Equal(got[c], want[c]) {
					t.Fatalf("%d+%d, %b lost: column %d differs", n.data, n.parity, lost, c)
				}
			}
		}
	}
}

// Large codes too, with losses at random.
func TestLargeCodes(t *testing.T) {
	code, err := New(200, 56)
	if err != nil {
		t.Fatal(err)
	}
	want := stripe(t, code, 256, 9)
	for range 50 {
		got := make([][]byte, len(want))
		for c := range got {
			got[c] = bytes.Clone(want[c])
		}
		for _, c := range rand.Perm(len(want))[:1+rand.IntN(56)] {
			got[c] = nil
		}
		if err := code.Reconstruct(got); err != nil {
			t.Fatal(err)
		}
		for c := range got {
			if !bytes.Equal(got[c], want[c]) {
				t.Fatalf("column %d differs", c)
			}
		}
	}
}

// Columns that are added one after the other give the same parity.
func TestAdd(t *testing.T) {
	code, err := New(7, 3)
	if err != nil {
		t.Fatal(err)
	}
	want := stripe(t, code, 512, 3)
	parity := [][]byte{make([]byte, 512), make([]byte, 512), make([]byte, 512)}
	for _, c := range rand.Perm(7) {
		if err := code.Add(c, want[c], parity); err != nil {
			t.Fatal(err)
		}
	}
	for k := range parity {
		if !bytes.Equal(parity[k], want[7+k]) {
			t.Errorf("parity %d differs", k)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, n := range [][2]int{{0, 1}, {1, 0}, {-1, 3}, {200, 57}, {1, 1 << 40}, {1 << 40, 1}} {
		if _, err := New(n[0], n[1]); err == nil {
			t.Errorf("%v is taken", n)
		}
	}
}

// What parity was made of once stays what repairs: the bytes are kept for ever.
func TestGoldenParity(t *testing.T) {
	const golden = "testdata/golden-5+3.parity"
	code, err := New(5, 3)
	if err != nil {
		t.Fatal(err)
	}
	all := stripe(t, code, 64, 42)
	got := bytes.Join(all[5:], nil)
	want, err := os.ReadFile(golden)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("parity is %x, was %x (%v)", got, want, err)
	}
}

func sample() *Sums {
	s := NewSums([32]byte{1, 2, 3}, 3, 2, 4)
	for c := range 4 {
		for b := range int64(4) {
			s.Set(c, b, uint32(c*100)+uint32(b))
		}
		s.Done(c)
	}
	return s
}

func TestSums(t *testing.T) {
	s := sample()
	b := s.Format()
	back, err := ParseSums(b)
	if err != nil || !bytes.Equal(back.Format(), b) {
		t.Fatalf("%+v, %v", back, err)
	}
	if crc, known := back.At(2, 3); crc != 203 || !known {
		t.Error(crc, known)
	}
	if _, known := back.At(4, 0); known {
		t.Error("a column is known that was not set")
	}
	for i := range b {
		wrong := bytes.Clone(b)
		wrong[i] ^= 1
		if _, err := ParseSums(wrong); err == nil {
			t.Errorf("byte %d does not matter", i)
		}
	}
	for n := range b {
		if _, err := ParseSums(b[:n]); err == nil {
			t.Errorf("%d bytes are enough", n)
		}
	}
	// What is protected has a block at least.
	if _, err := ParseSums(NewSums([32]byte{1}, 3, 2, 1).Format()); err != nil {
		t.Error("one block:", err)
	}
	if _, err := ParseSums(NewSums([32]byte{1}, 3, 2, 0).Format()); err == nil {
		t.Error("no block is taken")
	}
}

func TestMerge(t *testing.T) {
	a, b := sample(), NewSums([32]byte{1, 2, 3}, 3, 2, 4)
	b.Set(4, 1, 77)
	b.Done(4)
	if !a.Merge(b) || !a.known[4] {
		t.Error("not merged")
	}
	b.Set(4, 1, 78)
	if a.Merge(b) {
		t.Error("a contradiction went unnoticed")
	}
	if a.Merge(NewSums([32]byte{9}, 3, 2, 4)) {
		t.Error("merged with the list of another bundle")
	}
}

func FuzzParseSums(f *testing.F) {
	f.Add(sample().Format())
	f.Add(NewSums([32]byte{}, 1, 1, 1).Format())
	f.Add([]byte(sumsMagic))
	huge := bytes.Clone(sample().Format())
	copy(huge[len(sumsMagic)+32:], []byte{0, 255, 0, 1, 255, 255, 255, 255, 255, 255, 255, 255})
	f.Add(huge)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSums(b)
		if err == nil && !bytes.Equal(s.Format(), b) {
			t.Error("reads what it does not write")
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	for _, n := range []struct {
		name         string
		data, parity int
	}{{"10+2", 10, 2}, {"20+3", 20, 3}} {
		code, err := New(n.data, n.parity)
		if err != nil {
			b.Fatal(err)
		}
		all := stripe(b, code, BlockSize, 1)
		b.Run(n.name, func(b *testing.B) {
			b.SetBytes(int64(n.data) * BlockSize)
			for b.Loop() {
				if err := code.rs.Encode(all); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(n.name+" repair", func(b *testing.B) {
			b.SetBytes(int64(n.data) * BlockSize)
			for b.Loop() {
				for k := range n.parity {
					all[k] = all[k][:0]
				}
				if err := code.Reconstruct(all); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
