package layout_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"bundle/layout"

	"github.com/opencontainers/go-digest"
)

func TestPlan(t *testing.T) {
	p := newSample(t, 0, 1, 511, 512, 513).plan(t)
	offset := int64(0)
	for _, e := range p.Entries() {
		if e.Offset != offset+512 {
			t.Errorf("entry %s lies at %d, want %d", e.Name, e.Offset, offset+512)
		}
		offset = e.Offset + (e.Size+511)/512*512
	}
	if p.Size() != offset+1024 {
		t.Errorf("size %d, want %d", p.Size(), offset+1024)
	}
	if want := testTime.Truncate(time.Second); !p.ModTime().Equal(want) {
		t.Errorf("time %v, want %v", p.ModTime(), want)
	}
}

func TestPlanEntriesAreACopy(t *testing.T) {
	p := newSample(t, 1).plan(t)
	p.Entries()[0].Name = "changed"
	if p.Entries()[0].Name != layout.LayoutFile {
		t.Error("a caller can change the plan")
	}
}

func TestPlanRefuses(t *testing.T) {
	blob := func(text string) layout.File { return known(layout.BlobName(digest.FromString(text)), []byte(text)) }
	late := func(text string, size int64) layout.File {
		return layout.File{Name: layout.BlobName(digest.FromString(text)), Size: size}
	}
	base := newSample(t).files[:4]
	with := func(files ...layout.File) []layout.File { return slices.Concat(base, files) }
	replace := func(i int, f layout.File) []layout.File {
		files := slices.Clone(base)
		files[i] = f
		return files
	}
	upper := "blobs/sha256/" + strings.ToUpper(digest.FromString("x").Encoded())
	now := testTime
	tests := []struct {
		name  string
		files []layout.File
		at    time.Time
		want  string
	}{
		{"nothing", nil, now, "no entry oci-layout"},
		{"no index", base[:3], now, "no entry index.json"},
		{"no signature, no index", base[:2], now, "no entry index.json"},
		{"no sums", []layout.File{base[0], base[3]}, now, "SHA256SUMS is missing before it"},
		{"signature without sums", []layout.File{base[0], base[2]}, now, "SHA256SUMS is missing before it"},
		{"index first", []layout.File{base[3]}, now, "oci-layout is missing before it"},
		{"late signature", []layout.File{base[0], base[1], base[3], base[2]}, now, "it stands before index.json"},
		{"blob before index", []layout.File{base[0], base[1], base[2], blob("x")}, now, "index.json is missing before it"},
		{"layout twice", with(base[0]), now, "duplicate"},
		{"signature twice", with(base[2]), now, "duplicate"},
		{"blob twice", with(blob("x"), blob("x")), now, "duplicate"},
		{"known after late", with(late("y", 1), blob("x")), now, "known content after"},
		{"late index", replace(3, layout.File{Name: layout.IndexFile, Size: 1}), now, "content has to be known"},
		{"layout content", replace(0, known(layout.LayoutFile, []byte("{}"))), now, "content is not"},
		{"wrong size", with(layout.File{Name: blob("x").Name, Size: 2, Data: []byte("x")}), now, "content has 1 bytes"},
		{"wrong digest", with(layout.File{Name: blob("x").Name, Size: 1, Data: []byte("y")}), now, "content has the digest"},
		{"negative", with(late("x", -1)), now, "negative size"},
		{"too large", with(late("x", math.MaxInt64)), now, "too large"},
		{"sum too large", with(late("x", math.MaxInt64/2), late("y", math.MaxInt64/2)), now, "too large"},
		{"upper case", with(known(upper, nil)), now, "upper case"},
		{"case twin", with(known("Index.json", nil)), now, "case twin"},
		{"case twin of sums", with(known("sha256sums", nil)), now, "case twin"},
		{"sha512", with(known("blobs/sha512/"+strings.Repeat("0", 128), nil)), now, "other than sha256"},
		{"short digest", with(known("blobs/sha256/ab", nil)), now, "64 lower-case hex digits"},
		{"absolute", with(known("/etc/passwd", nil)), now, "absolute path"},
		{"dots", with(known("blobs/../x", nil)), now, "path with .."},
		{"other name", with(known("README", nil)), now, "name that a bundle does not have"},
		{"empty name", with(known("", nil)), now, "empty name"},
		{"before 1970", base, time.Unix(-1, 0), "outside of what a tar header can say"},
		{"after 2242", base, time.Unix(1<<33, 0), "outside of what a tar header can say"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := layout.NewPlan(tt.files, tt.at)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestPlanAtTheLimits(t *testing.T) {
	base := newSample(t).files[:4]
	for _, at := range []time.Time{time.Unix(0, 0), time.Unix(1<<33-1, 0)} {
		if _, err := layout.NewPlan(base, at); err != nil {
			t.Errorf("time %v: %v", at, err)
		}
	}
	unsigned := slices.Delete(slices.Clone(base), 2, 3)
	if _, err := layout.NewPlan(unsigned, testTime); err != nil {
		t.Errorf("unsigned: %v", err)
	}
}

func TestBlobName(t *testing.T) {
	d := digest.FromString("x")
	if got, ok := layout.BlobDigest(layout.BlobName(d)); !ok || got != d {
		t.Errorf("BlobDigest(BlobName(%s)) = %s, %v", d, got, ok)
	}
	for _, hostile := range []digest.Digest{"", "sha256", "sha256:../../x", "sha256:", "md5:00", "sha256:" + "A" + digest.Digest(d.Encoded()[1:])} {
		if got, ok := layout.BlobDigest(layout.BlobName(hostile)); ok {
			t.Errorf("digest %q became %q", hostile, got)
		}
	}
}
