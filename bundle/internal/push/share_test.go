package push

import (
	"math/rand/v2"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Every blob is in exactly one share, whoever works that out and in whatever order
// the blobs come, and no share weighs more than the mean and the largest blob.
func TestShares(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, of := range []int{1, 2, 3, 7, 64} {
		var blobs []ocispec.Descriptor
		var total, largest int64
		for i := range rng.IntN(200) {
			size := rng.Int64N(1 << rng.IntN(30))
			blobs = append(blobs, ocispec.Descriptor{Digest: digest.FromString(string(rune(i))), Size: size})
			total, largest = total+size, max(largest, size)
		}
		seen := make(map[digest.Digest]int)
		for i := range of {
			rng.Shuffle(len(blobs), func(a, b int) { blobs[a], blobs[b] = blobs[b], blobs[a] })
			var weight int64
			mine := Share{i + 1, of}.pick(blobs)
			for _, d := range blobs {
				if mine[d.Digest] {
					seen[d.Digest]++
					weight += d.Size
				}
			}
			if limit := total/int64(of) + largest + int64(len(blobs)); weight > limit {
				t.Errorf("share %d of %d weighs %d, and %d are fair", i+1, of, weight, limit)
			}
		}
		for _, d := range blobs {
			if seen[d.Digest] != 1 {
				t.Errorf("of %d: %s is in %d shares", of, d.Digest, seen[d.Digest])
			}
		}
	}
}

// Who counts from 0 has the same shares.
func TestShareFromZero(t *testing.T) {
	blobs := []ocispec.Descriptor{{Digest: digest.FromString("a"), Size: 2}, {Digest: digest.FromString("b"), Size: 1}}
	if first, last := (Share{0, 2}).pick(blobs), (Share{2, 2}).pick(blobs); len(first) != 1 || !first[blobs[0].Digest] == last[blobs[0].Digest] {
		t.Errorf("%v, %v", first, last)
	}
	if all := (Share{}).pick(blobs); len(all) != 2 {
		t.Errorf("without shares: %v", all)
	}
}

func TestParseShare(t *testing.T) {
	for text, want := range map[string]Share{"1/1": {1, 1}, "0/4": {0, 4}, "4/4": {4, 4}, "1000/1000": {1000, 1000}} {
		if got, err := ParseShare(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "1", "/", "1/", "/2", "5/4", "-1/4", "1/0", "1/1001", "1/2/3", "a/b", "1 / 2", "1/99999999999999999999"} {
		if got, err := ParseShare(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}
