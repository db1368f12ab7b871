package hostile

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
)

const blockSize = 512

// An entry is one file in the tar.
type entry struct {
	name string
	data []byte
	hole int64 // zeros behind data, which count as content
}

func (e entry) size() int64 { return int64(len(e.data)) + e.hole }

// header is the one that the format wants.
func (e entry) header() []byte {
	var buf bytes.Buffer
	err := tar.NewWriter(&buf).WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: e.name, Size: e.size(), Mode: 0o644, ModTime: modTime, Format: tar.FormatUSTAR,
	})
	if err != nil {
		panic(fmt.Sprintf("hostile: header of %q: %v", e.name, err))
	}
	return buf.Bytes()
}

// tarParts is the tar of entries.
func tarParts(list []entry) []part {
	var parts []part
	for _, e := range list {
		parts = append(parts, part{data: e.header()}, part{data: e.data}, part{zeros: e.hole + -e.size()&(blockSize-1)})
	}
	return append(parts, part{zeros: 2 * blockSize})
}

// offsets says where the header of each entry is.
type offsets []int

// packTar is the tar of entries in memory.
func packTar(list []entry) ([]byte, offsets) {
	var buf bytes.Buffer
	var at offsets
	for _, e := range list {
		at = append(at, buf.Len())
		buf.Write(e.header())
		buf.Write(e.data)
		buf.Write(make([]byte, -len(e.data)&(blockSize-1)))
	}
	buf.Write(make([]byte, 2*blockSize))
	return buf.Bytes(), at
}

// seal gives a header that was changed its right checksum again.
func seal(block []byte) {
	copy(block[148:156], "        ")
	sum := 0
	for _, b := range block[:blockSize] {
		sum += int(b)
	}
	copy(block[148:156], fmt.Sprintf("%06o\x00 ", sum))
}

// The entries that every good bundle here has, in their order. Those of blobs
// are sorted by digest.
const (
	atLayout = iota
	atSums
	atSignature
	atIndex
	atBlob
)

// set writes text into the header of an entry.
func set(entry, from int, text string) func([]byte, offsets) []byte {
	return func(b []byte, at offsets) []byte {
		block := b[at[entry]:]
		copy(block[from:], text)
		seal(block)
		return b
	}
}

// rename gives an entry another name.
func rename(entry int, name string) func([]byte, offsets) []byte {
	return set(entry, 0, name+strings.Repeat("\x00", 100-len(name)))
}

// insert puts blocks before an entry.
func insert(entry int, blocks []byte) func([]byte, offsets) []byte {
	return func(b []byte, at offsets) []byte {
		i := at[entry]
		return bytes.Join([][]byte{b[:i], blocks, b[i:]}, nil)
	}
}

// extended is a header of another type with its records, as PAX and GNU put
// them before the entry they are for.
func extended(kind byte, records string) []byte {
	block := entry{name: "PaxHeaders/x", data: []byte(records)}.header()
	block[156] = kind
	seal(block)
	block = append(block, records...)
	return append(block, make([]byte, -len(records)&(blockSize-1))...)
}

// record is one PAX record; its length counts itself.
func record(key, value string) string {
	rest := len(key) + len(value) + 3
	for n := rest + 1; ; n++ {
		if s := fmt.Sprintf("%d %s=%s\n", n, key, value); len(s) == n {
			return s
		}
	}
}

// base256 is a size as GNU writes it.
func base256(n uint64) string {
	return string(binary.BigEndian.AppendUint64([]byte{0x80, 0, 0, 0}, n))
}
