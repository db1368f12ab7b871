package layout

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"bundle/testdata/judge"
)

// largePlan has entries on both sides of what eleven octal digits can say.
func largePlan(t *testing.T) *Plan {
	t.Helper()
	files := []File{
		{LayoutFile, int64(len(LayoutContent())), LayoutContent()},
		{SumsFile, 4, []byte("sums")},
		{IndexFile, 5, []byte("index")},
	}
	for _, size := range []int64{maxOctal, maxOctal + 1, 20 << 30, 7} {
		name := BlobName(digest.FromString(strconv.FormatInt(size, 10)))
		files = append(files, File{Name: name, Size: size})
	}
	p, err := NewPlan(files, time.Unix(1<<30, 0))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Entries above 8 GiB are read right by us, by archive/tar and by tar(1). The
// file is sparse: 36 GiB that take a few KiB.
func TestLargeEntries(t *testing.T) {
	p := largePlan(t)
	path := filepath.Join(t.TempDir(), "large.bundle")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w := &Writer{plan: p, file: file, slice: Range{0, p.size}, blobs: make(map[digest.Digest]*pending)}
	if err := errors.Join(file.Truncate(p.size), w.writeHeads(0)); err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(file, p.size)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Entries(); !slices.Equal(got, p.entries) {
		t.Errorf("entries %v, want %v", got, p.entries)
	}
	tr := tar.NewReader(file)
	for _, e := range p.entries {
		h, err := tr.Next()
		if err != nil {
			t.Fatal(err)
		}
		offset, err := file.Seek(0, io.SeekCurrent)
		if err != nil {
			t.Fatal(err)
		}
		if h.Name != e.Name || h.Size != e.Size || offset != e.Offset {
			t.Errorf("archive/tar: %s with %d bytes at %d, want %v", h.Name, h.Size, offset, e)
		}
	}
	if _, err := tr.Next(); err != io.EOF {
		t.Errorf("archive/tar: after the last entry: %v, want EOF", err)
	}
	out, err := exec.Command(judge.Path(t, "tar"), "tvf", path).CombinedOutput()
	if err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	for _, e := range p.entries {
		if !strings.Contains(string(out), " "+strconv.FormatInt(e.Size, 10)+" ") || !strings.Contains(string(out), e.Name) {
			t.Errorf("tar does not list %s with %d bytes:\n%s", e.Name, e.Size, out)
		}
	}
}

// A size has one form only: octal up to 8 GiB - 1, base-256 above.
func TestSizeForms(t *testing.T) {
	tests := []struct {
		size int64
		want []byte
	}{
		{0, []byte("00000000000\x00")},
		{maxOctal, []byte("77777777777\x00")},
		{maxOctal + 1, []byte{0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0}},
		{1<<63 - 1, []byte{0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
	}
	for _, tt := range tests {
		block, err := encodeHeader(LayoutFile, tt.size, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := fieldSize.of(block); !bytes.Equal(got, tt.want) {
			t.Errorf("size %d is % x, want % x", tt.size, got, tt.want)
		}
		if h, what := decodeHeader(block); what != "" || h.size != tt.size {
			t.Errorf("size %d reads as %d (%s)", tt.size, h.size, what)
		}
	}
}

// endless is a bundle whose entries never end. Each is a copy of the last one
// in head, with another digest.
type endless struct{ head []byte }

func (e endless) ReadAt(p []byte, offset int64) (int, error) {
	if offset < int64(len(e.head)) {
		return copy(p, e.head[offset:]), nil
	}
	n := copy(p, e.head[len(e.head)-blockSize:])
	const from, to = len(blobPrefix), len(blobPrefix) + 16
	sum, _ := parseOctal(fieldChecksum.of(p))
	for _, b := range p[from:to] {
		sum -= int64(b)
	}
	copy(p[from:to], fmt.Sprintf("%016x", offset))
	for _, b := range p[from:to] {
		sum += int64(b)
	}
	copy(fieldChecksum.of(p), fmt.Sprintf("%06o", sum))
	return n, nil
}

func TestEndlessEntries(t *testing.T) {
	p, err := NewPlan([]File{
		{LayoutFile, int64(len(LayoutContent())), LayoutContent()},
		{SumsFile, 0, []byte{}},
		{IndexFile, 0, []byte{}},
		{BlobName(digest.FromString("")), 0, []byte{}},
	}, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	if err := Stream(&buf, p, nil); err != nil {
		t.Fatal(err)
	}
	src := endless{buf.Bytes()[:buf.Len()-trailerSize]}
	_, err = NewReader(src, 1<<60)
	var format *FormatError
	if !errors.As(err, &format) || format.What != "more than 200000 entries" {
		t.Errorf("got %v", err)
	}
}
