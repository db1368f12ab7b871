package layout_test

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bundle/layout"

	"github.com/opencontainers/go-digest"
)

// seal gives a header that was changed its right checksum again.
func seal(block []byte) {
	copy(block[148:156], "        ")
	sum := 0
	for _, b := range block[:512] {
		sum += int(b)
	}
	copy(block[148:156], fmt.Sprintf("%06o\x00 ", sum))
}

// tarHeader returns what archive/tar writes for a header: one block or, for
// PAX and GNU tricks, several.
func tarHeader(t testing.TB, h tar.Header) []byte {
	t.Helper()
	h.ModTime = testTime.Truncate(time.Second)
	if h.Mode == 0 {
		h.Mode = 0o644
	}
	var buf bytes.Buffer
	if err := tar.NewWriter(&buf).WriteHeader(&h); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// paxHeader returns an extended header with its records.
func paxHeader(t testing.TB, kind, records string) []byte {
	block := tarHeader(t, tar.Header{Name: "PaxHeaders/x", Size: int64(len(records))})
	copy(block[156:], kind)
	seal(block)
	return append(block, append([]byte(records), make([]byte, 512-len(records))...)...)
}

// place says where the parts of the sample are.
type place struct {
	data    []byte
	entries []layout.Entry
}

// header returns the header of an entry, to be changed in place.
func (p place) header(i int) []byte {
	at := p.entries[i].Offset
	return p.data[at-512 : at]
}

func (p place) set(i, from int, text string) []byte {
	copy(p.header(i)[from:], text)
	seal(p.header(i))
	return p.data
}

func (p place) end() int { return len(p.data) - 1024 }

// insert puts blocks before the header of an entry.
func (p place) insert(i int, blocks []byte) []byte {
	at := int(p.entries[i].Offset - 512)
	return slices.Concat(p.data[:at], blocks, p.data[at:])
}

// replace puts blocks in place of the header of an entry.
func (p place) replace(i int, blocks []byte) []byte {
	at := int(p.entries[i].Offset)
	return slices.Concat(p.data[:at-512], blocks, p.data[at:])
}

// hostile is a change of a good bundle, and what the reader says of it.
type hostile struct {
	name   string
	change func(p place) []byte
	want   string
}

// The entry of the first layer, of 600 bytes.
const layer = 6

func wantHostile(t *testing.T, tests []hostile) {
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSample(t, 600, 10)
			_, err := newReader(tt.change(place{s.bytes(t), s.plan(t).Entries()}))
			wantRefused(t, err, tt.want)
		})
	}
}

func TestHostileTypes(t *testing.T) {
	wantHostile(t, []hostile{
		{"hard link", func(p place) []byte { return p.set(layer, 156, "1") }, "hard link"},
		{"symbolic link", func(p place) []byte { return p.set(layer, 156, "2") }, "symbolic link"},
		{"character device", func(p place) []byte { return p.set(layer, 156, "3") }, "device"},
		{"block device", func(p place) []byte { return p.set(layer, 156, "4") }, "device"},
		{"folder", func(p place) []byte { return p.set(layer, 156, "5") }, "directory"},
		{"pipe", func(p place) []byte { return p.set(layer, 156, "6") }, "pipe"},
		{"contiguous", func(p place) []byte { return p.set(layer, 156, "7") }, "unknown entry type '7'"},
		{"old regular type", func(p place) []byte { return p.set(layer, 156, "\x00") }, `unknown entry type '\x00'`},
		{"vendor type", func(p place) []byte { return p.set(layer, 156, "Z") }, "unknown entry type 'Z'"},
		{"sparse", func(p place) []byte { return p.set(layer, 156, "S") }, "sparse"},
		{"multi-volume", func(p place) []byte { return p.set(layer, 156, "M") }, "unknown entry type 'M'"},
		{"pax header with another size", func(p place) []byte {
			return p.insert(layer, paxHeader(t, "x", "10 size=1\n"))
		}, "pax header"},
		{"pax header with another name", func(p place) []byte {
			return p.insert(layer, paxHeader(t, "x", "17 path=../../x\n"))
		}, "pax header"},
		{"global pax header", func(p place) []byte {
			return p.insert(0, paxHeader(t, "g", "10 path=x\n"))
		}, "pax header"},
		{"pax header of a gigabyte", func(p place) []byte {
			copy(p.header(layer)[124:], "10000000000\x00")
			return p.set(layer, 156, "x")
		}, "pax header"},
		{"GNU long name", func(p place) []byte {
			return p.replace(layer, tarHeader(t, tar.Header{Name: strings.Repeat("x", 120), Size: 600, Format: tar.FormatGNU}))
		}, "GNU long name"},
		{"ustar prefix", func(p place) []byte { return p.set(layer, 345, "prefix") }, "name prefix is not"},
	})
}

func TestHostileNames(t *testing.T) {
	wantHostile(t, []hostile{
		{"no name", func(p place) []byte { return p.set(0, 0, strings.Repeat("\x00", 100)) }, "empty name"},
		{"absolute", func(p place) []byte { return p.set(layer, 0, "/") }, "absolute path"},
		{"dots", func(p place) []byte { return p.set(layer, 0, "../../etc/passwd\x00") }, "path with .."},
		{"dots inside", func(p place) []byte { return p.set(layer, 0, "blobs/../../x\x00") }, "path with .."},
		{"windows path", func(p place) []byte { return p.set(layer, 0, `C:\x`+"\x00") }, "name that a bundle does not have"},
		{"dot before", func(p place) []byte { return p.set(0, 0, "./oci-layout") }, "name that a bundle does not have"},
		{"sha512", func(p place) []byte { return p.set(layer, 0, "blobs/sha512/") }, "algorithm other than sha256"},
		{"upper case", func(p place) []byte {
			return p.set(layer, 0, "blobs/sha256/"+strings.ToUpper(p.entries[layer].Name[13:]))
		}, "upper case"},
		{"not hex", func(p place) []byte { return p.set(layer, 0, "blobs/sha256/zz") }, "not a sha256 digest"},
		{"short digest", func(p place) []byte { return p.set(layer, 76, "\x00") }, "not a sha256 digest"},
		{"long digest", func(p place) []byte { return p.set(layer, 77, "0") }, "not a sha256 digest"},
		{"name after a zero", func(p place) []byte { return p.set(layer, 90, "x") }, "name is not in its canonical form"},
		{"case twin", func(p place) []byte { return p.set(0, 0, "OCI-layout") }, "case twin"},
		{"duplicate blob", func(p place) []byte { return p.set(layer+1, 0, p.entries[layer].Name) }, "duplicate"},
		{"duplicate index", func(p place) []byte { return p.set(layer, 0, "index.json"+strings.Repeat("\x00", 90)) }, "duplicate"},
	})
}

func TestHostileOrder(t *testing.T) {
	other := layout.BlobName(digest.FromString("other"))
	wantHostile(t, []hostile{
		{"blob before index", func(p place) []byte { return p.set(3, 0, other) }, "index.json is missing before it"},
		{"sums first", func(p place) []byte { return p.set(0, 0, "SHA256SUMS") }, "oci-layout is missing before it"},
		{"no index", func(p place) []byte {
			at := p.entries[3].Offset - 512
			return slices.Concat(p.data[:at], make([]byte, 1024))
		}, "ends before its entry index.json"},
		{"nothing but the end", func(p place) []byte { return make([]byte, 1024) }, "ends before its entry oci-layout"},
	})
}

func TestHostileFields(t *testing.T) {
	wantHostile(t, []hostile{
		{"mode", func(p place) []byte { return p.set(layer, 100, "0000755") }, "mode is not"},
		{"set-uid", func(p place) []byte { return p.set(layer, 100, "0004755") }, "mode is not"},
		{"uid", func(p place) []byte { return p.set(layer, 108, "0001750") }, "owner (uid) is not"},
		{"gid", func(p place) []byte { return p.set(layer, 116, "0001750") }, "owner (gid) is not"},
		{"user name", func(p place) []byte { return p.set(layer, 265, "root") }, "owner (user name) is not"},
		{"group name", func(p place) []byte { return p.set(layer, 297, "root") }, "owner (group name) is not"},
		{"link name", func(p place) []byte { return p.set(layer, 157, "/etc/passwd") }, "link name is not"},
		{"device", func(p place) []byte { return p.set(layer, 329, "0000001") }, "device (major) is not"},
		{"rest of the header", func(p place) []byte { return p.set(layer, 511, "x") }, "padding of the header is not"},
		{"GNU magic on a small entry", func(p place) []byte { return p.set(layer, 257, "ustar  \x00") }, "magic is not"},
		{"old tar", func(p place) []byte { return p.set(layer, 257, strings.Repeat("\x00", 8)) }, "no ustar magic"},
		{"other time", func(p place) []byte { return p.set(layer, 136, "00000000001") }, "mtime differs"},
		{"no time", func(p place) []byte { return p.set(layer, 136, "xxxxxxxxxxx") }, "mtime is not a number"},
		{"negative time", func(p place) []byte { return p.set(layer, 136, strings.Repeat("\xff", 12)) }, "mtime is not a number"},
		{"time with spaces", func(p place) []byte { return p.set(0, 147, " ") }, "mtime is not in its canonical form"},
		{"checksum", func(p place) []byte { p.header(layer)[150]++; return p.data }, "checksum is wrong"},
		{"checksum in another form", func(p place) []byte {
			sum := string(p.header(layer)[148:154])
			copy(p.header(layer)[148:156], "0"+sum+"\x00")
			return p.data
		}, "checksum is not in its canonical form"},
	})
}

func TestHostileSizes(t *testing.T) {
	wantHostile(t, []hostile{
		{"size larger", func(p place) []byte { return p.set(layer, 124, "00077777777") }, "beyond the end of the file"},
		{"size smaller", func(p place) []byte { return p.set(layer, 124, "00000000001") }, "padding after the content is not zero"},
		{"size huge", func(p place) []byte {
			size := binary.BigEndian.AppendUint64([]byte{0x80, 0, 0, 0}, 1<<63-1)
			copy(p.header(layer)[257:], "ustar  \x00")
			return p.set(layer, 124, string(size))
		}, "beyond the end of the file"},
		{"size beyond 64 bits", func(p place) []byte { return p.set(layer, 124, "\x80\x01") }, "size is not a number"},
		{"size that overflows", func(p place) []byte {
			return p.set(layer, 124, "\x80\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff")
		}, "size is not a number"},
		{"size negative", func(p place) []byte { return p.set(layer, 124, strings.Repeat("\xff", 12)) }, "size is not a number"},
		{"size with sign", func(p place) []byte { return p.set(layer, 124, "-0000000001") }, "size is not a number"},
		{"no size", func(p place) []byte { return p.set(layer, 124, strings.Repeat("\x00", 12)) }, "size is not a number"},
		{"small size in base-256", func(p place) []byte {
			return p.set(layer, 124, "\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x58")
		}, "size is not in its canonical form"},
		{"size in short octal", func(p place) []byte { return p.set(layer, 124, "1130\x00\x00\x00\x00\x00\x00\x00\x00") }, "size is not in its canonical form"},
	})
}

func TestHostileEnds(t *testing.T) {
	wantHostile(t, []hostile{
		{"padding", func(p place) []byte { p.data[p.entries[layer].Offset+600] = 1; return p.data }, "padding after the content"},
		{"first end block", func(p place) []byte { p.data[p.end()] = 1; return p.data }, "no ustar magic"},
		{"second end block", func(p place) []byte { p.data[len(p.data)-1] = 1; return p.data }, "second block of the end"},
		{"end inside", func(p place) []byte { return p.insert(layer, make([]byte, 512)) }, "second block of the end"},
		{"second bundle", func(p place) []byte { return slices.Concat(p.data, p.data) }, "data after the end"},
		{"padded to a record", func(p place) []byte { return slices.Concat(p.data, make([]byte, 8192)) }, "data after the end"},
		{"one byte more", func(p place) []byte { return append(p.data, 0) }, "data after the end"},
		{"one end block", func(p place) []byte { return p.data[:p.end()+512] }, "the end is not complete"},
		{"no end", func(p place) []byte { return p.data[:p.end()] }, "truncated"},
	})
}

func TestHostileFiles(t *testing.T) {
	wantHostile(t, []hostile{
		{"empty file", func(p place) []byte { return nil }, "truncated"},
		{"gzip", func(p place) []byte { return append([]byte{0x1f, 0x8b, 8}, make([]byte, 2000)...) }, "no ustar magic"},
		{"text", func(p place) []byte { return bytes.Repeat([]byte("hello world\n"), 100) }, "no ustar magic"},
	})
}

func wantRefused(t testing.TB, err error, want string) {
	t.Helper()
	format, ok := err.(*layout.FormatError)
	if !ok || !strings.Contains(format.What, want) {
		t.Errorf("got %v, want a FormatError: %s", err, want)
	}
}

// A bundle cut anywhere is refused.
func TestTruncated(t *testing.T) {
	data := newSample(t, 600, 10).bytes(t)
	for n := range data {
		_, err := newReader(data[:n])
		wantRefused(t, err, "")
	}
}

// A changed bit in any byte is found: in a header at once, in content when it is
// read. With a header whose checksum was made right again, no other content
// comes out under a name either.
func TestBitFlips(t *testing.T) {
	s := newSample(t, 600, 0, 10)
	original, entries := s.bytes(t), s.plan(t).Entries()
	inContent := make([]bool, len(original))
	for _, e := range entries {
		for i := e.Offset; i < e.Offset+e.Size; i++ {
			inContent[i] = true
		}
	}
	data := bytes.Clone(original)
	for i := range data {
		data[i] ^= 1 << (i % 8)
		r, err := newReader(data)
		switch {
		case inContent[i] && err != nil:
			t.Fatalf("byte %d: content was looked at: %v", i, err)
		case inContent[i]:
			wantDamaged(t, r, s, i)
		case err == nil:
			t.Fatalf("byte %d: not refused", i)
		}
		data[i] = original[i]
	}
	for k := range entries {
		for i := range 512 {
			block := place{data, entries}.header(k)
			block[i] ^= 1 << (i % 8)
			seal(block)
			if r, err := newReader(data); err == nil && !bytes.Equal(data, original) {
				wantDamaged(t, r, s, i)
			}
			copy(data, original)
		}
	}
}

// wantDamaged requires that the entries do not all have the content that the
// names and the sums promise.
func wantDamaged(t *testing.T, r *layout.Reader, s *sample, at int) {
	t.Helper()
	for _, e := range r.Entries() {
		want, ok := layout.BlobDigest(e.Name)
		if !ok {
			want = digest.FromBytes(s.all[e.Name])
		}
		if _, err := readAll(r, e.Name, want); err != nil {
			wantFormatError(t, err, e.Name, "content has the digest")
			return
		}
	}
	t.Errorf("byte %d: a change was not found", at)
}
