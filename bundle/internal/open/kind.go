package open

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/inventory"
	"bundle/layout"
)

// kinds are files that are taken for bundles by mistake, by how they begin.
var kinds = []struct{ magic, what, advice string }{
	{"\x1f\x8b", "a gzip file", "if it is a bundle that somebody compressed, gunzip it; if it is a chart, bundle export makes a bundle of it"},
	{"\x28\xb5\x2f\xfd", "a zstd file", "if it is a bundle that somebody compressed, unpack it with zstd -d"},
	{"\xfd7zXZ\x00", "an xz file", "if it is a bundle that somebody compressed, unpack it with unxz"},
	{"BZh", "a bzip2 file", "if it is a bundle that somebody compressed, unpack it with bunzip2"},
	{"PK\x03\x04", "a zip file", "if there is a bundle in it, unpack it"},
}

// notBundle is a usage error where a file is whole and something else than a
// bundle: nobody is to carry it again for that.
func notBundle(path string, r io.ReaderAt, size int64) error {
	what, advice := otherKind(r, size)
	if what == "" {
		return nil
	}
	return fault.Input(path, errors.New("not a bundle: "+what), advice)
}

// otherKind says what a file is that is none, and what to do with it; empty where that
// is not known.
func otherKind(r io.ReaderAt, size int64) (what, advice string) {
	head := make([]byte, min(size, 512))
	if _, err := r.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return "", "" // it is said when it is read
	}
	for _, k := range kinds {
		if bytes.HasPrefix(head, []byte(k.magic)) {
			return k.what, k.advice
		}
	}
	switch {
	case size == 0:
		return "an empty file", "look at the file that was carried: the copy may have failed"
	case inventory.Is(head):
		return "the inventory of a registry", "bundle export --base takes it"
	case isText(head):
		return "a text file", "a bundle is what bundle export writes"
	case otherTar(io.NewSectionReader(r, 0, size)):
		return "another tar archive", "a bundle is what bundle export writes"
	}
	return "", ""
}

// otherTar reports whether an archive, as far as it is looked at, has headers that
// are good, and no file that a bundle begins with: a bundle that somebody packed
// anew has.
func otherTar(r io.Reader) bool {
	archive := tar.NewReader(r)
	for i := range 8 {
		h, err := archive.Next()
		if err == io.EOF {
			return i > 0
		}
		if err != nil {
			return false
		}
		switch strings.TrimPrefix(h.Name, "./") {
		case layout.LayoutFile, layout.IndexFile, layout.SumsFile, layout.SignatureFile:
			return false
		}
	}
	return true
}

func isText(b []byte) bool {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 && len(b) >= utf8.UTFMax || r != utf8.RuneError && !unicode.IsPrint(r) && !unicode.IsSpace(r) {
			return false
		}
		b = b[n:]
	}
	return true
}
