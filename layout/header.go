package layout

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	blockSize = 512
	// trailerSize is the end of a tar: two blocks of zeros.
	trailerSize = 2 * blockSize
	// maxOctal is what eleven octal digits can say: the largest size that plain
	// ustar knows (8 GiB - 1), and the last second an mtime can name.
	maxOctal = 1<<33 - 1
)

// field is a part of a tar header (POSIX.1-1988 "ustar" and its GNU variant).
type field struct {
	name     string
	from, to int
}

var (
	fieldName     = field{"name", 0, 100}
	fieldSize     = field{"size", 124, 136}
	fieldTime     = field{"mtime", 136, 148}
	fieldChecksum = field{"checksum", 148, 156}
	fieldMagic    = field{"magic", 257, 265}

	fields = []field{
		fieldName, {"mode", 100, 108}, {"owner (uid)", 108, 116}, {"owner (gid)", 116, 124},
		fieldSize, fieldTime, fieldChecksum, {"type", 156, 157}, {"link name", 157, 257},
		fieldMagic, {"owner (user name)", 265, 297}, {"owner (group name)", 297, 329},
		{"device (major)", 329, 337}, {"device (minor)", 337, 345},
		{"name prefix", 345, 500}, {"padding of the header", 500, 512},
	}
)

const typeflagAt = 156

func (f field) of(block []byte) []byte { return block[f.from:f.to] }

// encodeHeader returns the one header that an entry with this name, size in
// bytes and mtime in seconds can have.
func encodeHeader(name string, size, mtime int64) ([]byte, error) {
	format := tar.FormatUSTAR
	if size > maxOctal {
		// GNU base-256: some readers take the size of a PAX record for zero.
		format = tar.FormatGNU
	}
	var buf bytes.Buffer
	err := tar.NewWriter(&buf).WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg,
		Name:     name,
		Size:     size,
		Mode:     0o644,
		ModTime:  time.Unix(mtime, 0),
		Format:   format,
	})
	if err != nil {
		return nil, fmt.Errorf("tar header of %q: %w", name, err)
	}
	if buf.Len() != blockSize {
		return nil, fmt.Errorf("tar header of %q: %d bytes, not one block", name, buf.Len())
	}
	return buf.Bytes(), nil
}

// header is what a canonical header says.
type header struct {
	name        string
	size, mtime int64
}

// decodeHeader reads a block that is not all zeros, and says what is wrong
// with it; "" is fine. It accepts exactly what encodeHeader returns for a name
// that a bundle can have: the header is encoded again and compared.
func decodeHeader(block []byte) (h header, what string) {
	h.name = cstring(fieldName.of(block))
	if !bytes.HasPrefix(fieldMagic.of(block), []byte("ustar")) {
		return header{}, "not a tar header (no ustar magic)"
	}
	if what := checkChecksum(block); what != "" {
		return h, what
	}
	if what := checkType(block[typeflagAt]); what != "" {
		return h, what
	}
	if what := checkName(h.name); what != "" {
		return h, what
	}
	var ok bool
	if h.size, ok = parseSize(fieldSize.of(block)); !ok {
		return h, "size is not a number that a bundle can have"
	}
	if h.mtime, ok = parseOctal(fieldTime.of(block)); !ok {
		return h, "mtime is not a number that a bundle can have"
	}
	want, err := encodeHeader(h.name, h.size, h.mtime)
	if err != nil {
		return h, err.Error()
	}
	return h, firstDifference(block, want)
}

// firstDifference names the first field in which a header differs from its
// canonical form. The checksum comes last: it differs whenever another does.
func firstDifference(got, want []byte) string {
	if bytes.Equal(got, want) {
		return ""
	}
	for _, f := range fields {
		if f != fieldChecksum && !bytes.Equal(f.of(got), f.of(want)) {
			return fmt.Sprintf("%s is not in its canonical form", f.name)
		}
	}
	return "checksum is not in its canonical form"
}

func checkChecksum(block []byte) string {
	stored, ok := parseOctal(fieldChecksum.of(block))
	sum := int64(' ') * int64(fieldChecksum.to-fieldChecksum.from)
	for i, b := range block {
		if i < fieldChecksum.from || i >= fieldChecksum.to {
			sum += int64(b)
		}
	}
	if !ok || stored != sum {
		return "header checksum is wrong"
	}
	return ""
}

func checkType(flag byte) string {
	switch flag {
	case tar.TypeReg:
		return ""
	case tar.TypeXHeader, tar.TypeXGlobalHeader:
		return "pax header"
	case tar.TypeGNULongName, tar.TypeGNULongLink:
		return "GNU long name"
	case tar.TypeGNUSparse:
		return "sparse file"
	case tar.TypeLink:
		return "hard link"
	case tar.TypeSymlink:
		return "symbolic link"
	case tar.TypeDir:
		return "directory"
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return "device or pipe"
	}
	return fmt.Sprintf("unknown entry type %q", flag)
}

func cstring(b []byte) string {
	s, _, _ := bytes.Cut(b, []byte{0})
	return string(s)
}

func parseOctal(b []byte) (int64, bool) {
	n, err := strconv.ParseUint(strings.TrimRight(cstring(b), " "), 8, 63)
	return int64(n), err == nil
}

// parseSize reads octal digits or GNU base-256: the top bit of the first byte
// is set, and the rest is a big-endian number.
func parseSize(b []byte) (int64, bool) {
	if b[0] != 0x80 {
		return parseOctal(b)
	}
	if !isZero(b[1:4]) {
		return 0, false
	}
	n := binary.BigEndian.Uint64(b[4:])
	return int64(n), n < 1<<63
}

var zeros [blockSize]byte

// isZero reports whether b, of at most one block, is all zeros.
func isZero(b []byte) bool { return bytes.Equal(b, zeros[:len(b)]) }

// padding returns how many zeros follow content of this size.
func padding(size int64) int64 { return -size & (blockSize - 1) }
