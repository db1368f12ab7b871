package hostile

import (
	"bytes"
	"compress/gzip"
	"io"
	"slices"
	"strings"
)

func tarred(edit func([]byte, offsets) []byte) func() Content { return attack{bytes: edit}.make() }

// typed gives the first blob another type.
func typed(flag string) func() Content { return tarred(set(atBlob, 156, flag)) }

// headers are entries that a bundle does not have, or in another form.
func headers() []Case {
	return []Case{
		{"entry type", "hard link", Damaged, "hard link", typed("1")},
		{"entry type", "symbolic link", Damaged, "symbolic link", typed("2")},
		{"entry type", "symbolic link to outside", Damaged, "symbolic link", tarred(func(b []byte, at offsets) []byte {
			copy(b[at[atBlob]+157:], "../../../etc/passwd")
			return set(atBlob, 156, "2")(b, at)
		})},
		{"entry type", "character device", Damaged, "device", typed("3")},
		{"entry type", "block device", Damaged, "device", typed("4")},
		{"entry type", "folder", Damaged, "directory", typed("5")},
		{"entry type", "pipe", Damaged, "pipe", typed("6")},
		{"entry type", "contiguous", Damaged, "unknown entry type '7'", typed("7")},
		{"entry type", "old regular type", Damaged, `unknown entry type '\x00'`, typed("\x00")},
		{"entry type", "GNU sparse", Damaged, "sparse", typed("S")},
		{"entry type", "GNU continued volume", Damaged, "unknown entry type 'M'", typed("M")},
		{"entry type", "of a vendor", Damaged, "unknown entry type 'Z'", typed("Z")},

		{"header", "set-uid", Damaged, "mode is not", tarred(set(atBlob, 100, "0004755"))},
		{"header", "owner", Damaged, "owner (uid) is not", tarred(set(atBlob, 108, "0001750"))},
		{"header", "owner by name", Damaged, "owner (user name) is not", tarred(set(atBlob, 265, "root"))},
		{"header", "link name", Damaged, "link name is not", tarred(set(atBlob, 157, "/etc/passwd"))},
		{"header", "time of its own", Damaged, "mtime differs", tarred(set(atBlob, 136, "00000000001"))},
		{"header", "negative time", Damaged, "mtime is not a number", tarred(set(atBlob, 136, strings.Repeat("\xff", 12)))},
		{"header", "checksum", Damaged, "checksum is wrong", tarred(func(b []byte, at offsets) []byte { b[at[atBlob]+150]++; return b })},
		{"header", "no magic", Damaged, "no ustar magic", tarred(set(atBlob, 257, "\x00\x00\x00\x00\x00"))},
		{"header", "GNU magic", Damaged, "magic is not", tarred(set(atBlob, 257, "ustar  \x00"))},
		{"header", "prefix", Damaged, "name prefix is not", tarred(set(atBlob, 345, "../.."))},
		{"header", "hidden bytes", Damaged, "padding of the header is not", tarred(set(atBlob, 511, "x"))},
	}
}

// sparse is the 1.0 form of GNU's sparse files in PAX.
const sparse = "22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n"

func specials() []Case {
	return []Case{
		{"pax and gnu", "size", Damaged, "pax header", tarred(insert(atBlob, extended('x', record("size", "1"))))},
		{"pax and gnu", "size of 8 EiB", Damaged, "pax header", tarred(insert(atBlob, extended('x', record("size", "9223372036854775807"))))},
		{"pax and gnu", "path", Damaged, "pax header", tarred(insert(atBlob, extended('x', record("path", "../../etc/cron.d/x"))))},
		{"pax and gnu", "link path", Damaged, "pax header", tarred(insert(atBlob, extended('x', record("linkpath", "/etc/passwd"))))},
		{"pax and gnu", "path with a zero", Damaged, "pax header", tarred(insert(atBlob, extended('x', record("path", "index.json\x00x"))))},
		{"pax and gnu", "record that lies about its length", Damaged, "pax header", tarred(insert(atBlob, extended('x', "999999 path=x\n")))},
		{"pax and gnu", "sparse file", Damaged, "pax header", tarred(insert(atBlob, extended('x', sparse)))},
		{"pax and gnu", "global header", Damaged, "pax header", tarred(insert(atLayout, extended('g', record("path", "x"))))},
		{"pax and gnu", "global comment", Damaged, "pax header", tarred(insert(atLayout, extended('g', record("comment", "x"))))},
		{"pax and gnu", "long name", Damaged, "GNU long name", tarred(insert(atBlob, extended('L', "../../etc/cron.d/x\x00")))},
		{"pax and gnu", "long link", Damaged, "GNU long name", tarred(insert(atBlob, extended('K', "/etc/passwd\x00")))},
		{"pax and gnu", "pax header of a gigabyte", Damaged, "pax header", gigabyteHeader("x")},
		{"pax and gnu", "long name of a gigabyte", Damaged, "GNU long name", gigabyteHeader("L")},
	}
}

const gigabyte = 1 << 30

// gigabyteHeader puts an extended header of a gigabyte of zeros first.
func gigabyteHeader(flag string) func() Content {
	return attack{parts: func(list []entry) []part {
		head := entry{name: "PaxHeaders/x", hole: gigabyte}.header()
		copy(head[156:], flag)
		seal(head)
		return append([]part{{data: head}, {zeros: gigabyte}}, tarParts(list)...)
	}}.make()
}

func names() []Case {
	return []Case{
		{"name", "none", Damaged, "empty name", tarred(rename(atBlob, ""))},
		{"name", "absolute", Damaged, "absolute path", tarred(rename(atBlob, "/etc/cron.d/x"))},
		{"name", "outside", Damaged, "path with ..", tarred(rename(atBlob, "../../etc/cron.d/x"))},
		{"name", "outside, from within", Damaged, "path with ..", tarred(rename(atBlob, "blobs/sha256/../../../x"))},
		{"name", "drive", Damaged, "name that a bundle does not have", tarred(rename(atBlob, `C:\Windows\x`))},
		{"name", "backslashes", Damaged, "name that a bundle does not have", tarred(rename(atBlob, `..\..\x`))},
		{"name", "dot before", Damaged, "name that a bundle does not have", tarred(rename(atLayout, "./oci-layout"))},
		{"name", "slash behind", Damaged, "name that a bundle does not have", tarred(rename(atIndex, "index.json/"))},
		{"name", "extra file", Damaged, "name that a bundle does not have", tarred(rename(atBlob, "README"))},
		{"name", "terminal codes", Damaged, "name that a bundle does not have", tarred(rename(atBlob, "\x1b[2J\x1b[H"))},
		{"name", "case twin of index.json", Damaged, "case twin", tarred(rename(atBlob, "INDEX.json"))},
		{"name", "case twin of the list", Damaged, "case twin", tarred(rename(atBlob, "sha256sums"))},
		{"name", "case twin of a blob", Damaged, "upper case in a digest", tarred(func(b []byte, at offsets) []byte {
			name := string(b[at[atBlob]:][:77])
			return rename(atBlob+1, "blobs/sha256/"+strings.ToUpper(name[13:]))(b, at)
		})},
		{"name", "blob twice", Damaged, "duplicate", tarred(func(b []byte, at offsets) []byte {
			return rename(atBlob+1, string(b[at[atBlob]:][:77]))(b, at)
		})},
		{"name", "index.json twice", Damaged, "duplicate", tarred(rename(atBlob, "index.json"))},
		{"name", "list twice", Damaged, "duplicate", tarred(rename(atIndex, "SHA256SUMS"))},
		{"name", "signature twice", Damaged, "duplicate", tarred(rename(atIndex, "SHA256SUMS.sig"))},
		{"name", "sha512", Damaged, "algorithm other than sha256", tarred(rename(atBlob, "blobs/sha512/"+strings.Repeat("a", 64)))},
		{"name", "md5", Damaged, "algorithm other than sha256", tarred(rename(atBlob, "blobs/md5/d41d8cd98f00b204e9800998ecf8427e"))},
		{"name", "short digest", Damaged, "not a sha256 digest", tarred(rename(atBlob, "blobs/sha256/abcd"))},
		{"name", "more behind a zero", Damaged, "name is not in its canonical form", tarred(set(atBlob, 90, "x"))},

		{"order", "list first", Damaged, "oci-layout is missing before it", reordered(atLayout, atSums)},
		{"order", "index.json before the list", Damaged, "SHA256SUMS is missing before it", reordered(atSums, atIndex)},
		{"order", "signature before the list", Damaged, "is missing before it", reordered(atSums, atSignature)},
		{"order", "blob before index.json", Damaged, "index.json is missing before it", reordered(atIndex, atBlob)},
		{"order", "signature behind index.json", Damaged, "out of order", reordered(atSignature, atIndex)},
		{"order", "no oci-layout", Damaged, "oci-layout is missing", without(atLayout)},
		{"order", "no list", Damaged, "SHA256SUMS is missing", without(atSums)},
		{"order", "no index.json", Damaged, "index.json is missing", without(atIndex)},
	}
}

// reordered swaps two entries.
func reordered(i, j int) func() Content {
	return attack{entries: func(l []entry) []entry { l[i], l[j] = l[j], l[i]; return l }}.make()
}

func without(i int) func() Content {
	return attack{entries: func(l []entry) []entry { return slices.Delete(l, i, i+1) }}.make()
}

// resized writes a size into the header of the first blob.
func resized(size string) func() Content {
	return tarred(set(atBlob, 124, size+strings.Repeat("\x00", 12-len(size))))
}

func resizedGNU(size string) func() Content {
	return tarred(func(b []byte, at offsets) []byte {
		copy(b[at[atBlob]+257:], "ustar  \x00")
		return set(atBlob, 124, size)(b, at)
	})
}

func sizes() []Case {
	return []Case{
		{"size", "beyond the end", Damaged, "beyond the end of the file", resized("77777777777")},
		{"size", "too small", Damaged, "padding after the content is not zero", resized("00000000001")},
		{"size", "swallows the next entry", Damaged, "in the bundle", tarred(func(b []byte, at offsets) []byte {
			return set(atBlob, 124, octal(at[atBlob+2]-at[atBlob]-blockSize))(b, at)
		})},
		{"size", "none", Damaged, "size is not a number", resized("")},
		{"size", "negative", Damaged, "size is not a number", resized("-0000000001")},
		{"size", "negative in base 256", Damaged, "size is not a number", resizedGNU(strings.Repeat("\xff", 12))},
		{"size", "8 EiB", Damaged, "beyond the end of the file", resizedGNU(base256(1<<63 - 1))},
		{"size", "overflow", Damaged, "size is not a number", resizedGNU(base256(1<<64 - 1))},
		{"size", "beyond 64 bits", Damaged, "size is not a number", resizedGNU("\x80\x01" + strings.Repeat("\x00", 10))},
		{"size", "small in base 256", Damaged, "size is not in its canonical form", resized(base256(30))},
		{"size", "in short octal", Damaged, "size is not in its canonical form", tarred(func(b []byte, at offsets) []byte {
			field := b[at[atBlob]+124:][:12]
			return set(atBlob, 124, strings.TrimLeft(string(field[:11]), "0")+strings.Repeat("\x00", 8))(b, at)
		})},
	}
}

func octal(n int) string {
	s := ""
	for range 11 {
		s = string(rune('0'+n&7)) + s
		n >>= 3
	}
	return s
}

func ends() []Case {
	return []Case{
		{"end", "nothing", Usage, "an empty file", func() Content { return whole([]byte{}) }},
		{"end", "zeros alone", Damaged, "ends before its entry oci-layout", func() Content { return whole(make([]byte, 10240)) }},
		{"end", "second bundle behind the first", Damaged, "data after the end", tarred(func(b []byte, _ offsets) []byte { return append(b, b...) })},
		{"end", "one byte more", Damaged, "data after the end", tarred(func(b []byte, _ offsets) []byte { return append(b, 0) })},
		{"end", "padded to a record", Damaged, "data after the end", tarred(func(b []byte, _ offsets) []byte { return append(b, make([]byte, 10240)...) })},
		{"end", "data in the padding", Damaged, "padding after the content is not zero", tarred(func(b []byte, at offsets) []byte {
			b[at[atBlob]-1] = 1
			return b
		})},
		{"end", "data in the end", Damaged, "second block of the end is not zero", tarred(func(b []byte, _ offsets) []byte {
			b[len(b)-1] = 1
			return b
		})},
		{"end", "end in the middle", Damaged, "second block of the end is not zero", tarred(insert(atBlob, make([]byte, blockSize)))},
		{"end", "gzip", Usage, "a gzip file", tarred(func(b []byte, _ offsets) []byte { return zipped(b) })},
		{"end", "zip", Usage, "a zip file", tarred(func(b []byte, _ offsets) []byte { return append([]byte("PK\x03\x04"), b...) })},
		{"end", "shell script", Damaged, "no ustar magic", tarred(func(b []byte, _ offsets) []byte { return append([]byte("#!/bin/sh\nrm -rf /\n"), b...) })},
	}
}

func zipped(b []byte) []byte {
	var buf bytes.Buffer
	zw := must(gzip.NewWriterLevel(&buf, gzip.BestSpeed))
	must(zw.Write(b))
	if err := zw.Close(); err != nil {
		panic(err)
	}
	return buf.Bytes()
}

// floods are bundles of gigabytes, in bytes or in number.
func floods() []Case {
	return []Case{
		{"flood", "10 million entries", Damaged, "more than 200000 entries", func() Content { return endless(10_000_000) }},
		{"flood", "list of a gigabyte", Damaged, "more than the 33554432 allowed", grown("SHA256SUMS")},
		{"flood", "signature of a gigabyte", Damaged, "more than the 65536 allowed", grown("SHA256SUMS.sig")},
		{"flood", "index.json of a gigabyte", Damaged, "more than the 16777216 allowed", grown("index.json")},
		{"flood", "oci-layout of a gigabyte", Damaged, "more than the 30 allowed", grown("oci-layout")},
		{"flood", "list that fills its limit", Untrusted, "not valid for this content", attack{entries: func(l []entry) []entry {
			l[atSums].data, l[atSums].hole = nil, 32<<20
			return l
		}}.make()},
	}
}

// grown puts a gigabyte of zeros behind the content of an entry.
func grown(name string) func() Content {
	return attack{entries: func(l []entry) []entry {
		for i := range l {
			if l[i].name == name {
				l[i].hole = gigabyte
			}
		}
		return l
	}}.make()
}

// endless is a bundle with n more entries, each a blob of no bytes. It is made
// as it is read.
func endless(n int64) Content {
	var head []byte
	attack{bytes: func(b []byte, _ offsets) []byte {
		head = b[:len(b)-2*blockSize]
		return b
	}}.content()
	r := &entryReader{head: head, n: n, block: entry{name: "blobs/sha256/" + strings.Repeat("0", 64)}.header()}
	return Content{ReaderAt: r, Size: int64(len(head)) + n*blockSize + 2*blockSize}
}

type entryReader struct {
	head  []byte
	n     int64
	block []byte // header of the blob of all zeros
}

func (r *entryReader) ReadAt(p []byte, offset int64) (n int, err error) {
	for n < len(p) {
		at := offset + int64(n)
		switch i := (at - int64(len(r.head))) / blockSize; {
		case at < int64(len(r.head)):
			n += copy(p[n:], r.head[at:])
		case i < r.n:
			n += copy(p[n:], r.header(i)[(at-int64(len(r.head)))%blockSize:])
		case i < r.n+2:
			p[n] = 0
			n++
		default:
			return n, io.EOF
		}
	}
	return n, nil
}

// header numbers the blob in the last digits of its name.
func (r *entryReader) header(i int64) []byte {
	block := bytes.Clone(r.block)
	for at := 76; i > 0; at, i = at-1, i>>4 {
		block[at] = "0123456789abcdef"[i&15]
	}
	seal(block)
	return block
}
