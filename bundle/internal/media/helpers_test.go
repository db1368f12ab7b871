package media_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"bundle/bundle/internal/media"
	"bundle/bundle/internal/progress"
	"bundle/layout"
	"bundle/layout/parts"
	"bundle/testdata/regtest"
)

// A source is a bundle that is to be written in parts.
type source struct {
	whole []byte
	set   *parts.Set
	plan  *layout.Plan
}

// newSource makes a bundle called x.tar with one blob for each size, and cuts it. The
// blobs that are larger than a part are cut.
func newSource(t testing.TB, seed uint64, part int64, parity int, sizes ...int) source {
	t.Helper()
	content := make(map[digest.Digest][]byte)
	files := []layout.File{
		{Name: layout.LayoutFile, Data: layout.LayoutContent()},
		{Name: layout.SumsFile, Data: []byte(fmt.Sprint("sums of ", seed, sizes))},
		{Name: layout.IndexFile, Data: []byte(`{}`)},
	}
	for i := range files {
		files[i].Size = int64(len(files[i].Data))
	}
	r := rand.New(rand.NewPCG(seed, 1))
	for _, n := range sizes {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		d := digest.FromBytes(b)
		content[d] = b
		files = append(files, layout.File{Name: layout.BlobName(d), Size: int64(n)})
	}
	plan, err := layout.NewPlan(files, time.Unix(1700000000, 0))
	must(t, err)
	var whole bytes.Buffer
	must(t, layout.Stream(&whole, plan, func(d digest.Digest) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content[d])), nil
	}))
	entries := plan.Entries()
	id := sha256.Sum256(files[1].Data)
	set, err := parts.Cut(parts.Cutting{
		Name: "x.tar", ID: hex.EncodeToString(id[:]), Created: 1700000000, Entries: entries,
		Head: entries[2].Offset - layout.BlockSize + layout.Footprint(entries[2].Size), Part: part,
	})
	must(t, err)
	if parity > 0 {
		set.Parity, err = set.NewParity(parity, len(set.Parts))
		must(t, err)
	}
	return source{whole.Bytes(), set, plan}
}

// threeParts is cut into three, of which the second and third have pieces of one blob.
func threeParts(t testing.TB, parity int) source {
	t.Helper()
	s := newSource(t, 1, 16_000, parity, 11_000, 20_000)
	if len(s.set.Parts) != 3 || !s.set.Inside(3) {
		t.Fatalf("%d parts", len(s.set.Parts))
	}
	return s
}

// media is where the source goes, still to be told how.
func (s source) media(folders ...string) *media.Media {
	return &media.Media{Set: s.set, Folders: folders, Progress: progress.OrSilent(nil), ID: s.set.ID, IDOf: idOf}
}

// idOf stands for the id of the bundle that begins in a file.
func idOf(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return ""
	}
	id, _ := parts.Identify(f, st.Size())
	return id
}

func (s source) head(path string) error {
	return media.Copy(context.Background(), path, s.section(0, s.set.Head), func(int64) {})
}

func (s source) section(from, n int64) *io.SectionReader {
	return io.NewSectionReader(bytes.NewReader(s.whole), from, n)
}

// fill is a media.Fill.
func (s source) fill(ctx context.Context, k int, path string) (func() error, error) {
	p := s.set.Parts[k-1]
	return media.Begin(ctx, path, s.section(p.Offset, p.Size), func(int64) {})
}

// write is what a run of the program does.
func (s source) write(ctx context.Context, m *media.Media, fill media.Fill) ([]media.Written, error) {
	defer m.Close()
	if err := m.Prepare(ctx, s.head); err != nil {
		return nil, err
	}
	return m.Write(ctx, fill)
}

func (s source) mustWrite(t testing.TB, m *media.Media) []media.Written {
	t.Helper()
	all, err := s.write(context.Background(), m, s.fill)
	must(t, err)
	return all
}

// wantWhole requires that parts have what the bundle has.
func (s source) wantWhole(t testing.TB, all []media.Written) {
	t.Helper()
	var b bytes.Buffer
	for _, w := range all {
		content := regtest.ReadFile(t, w.Path)
		if w.Part > 0 {
			b.WriteString(content)
		}
		if got := digest.FromString(content).Encoded(); got != w.SHA256 || w.Size != int64(len(content)) {
			t.Errorf("%+v: it has %d bytes with the checksum %s", w, len(content), got)
		}
	}
	if !bytes.Equal(b.Bytes(), s.whole) {
		t.Errorf("joined, %d parts are not the bundle", len(all))
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func writeFile(t testing.TB, content string, path ...string) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(path...), []byte(content), 0o644))
}

// emptied takes the medium out of a drive, and leaves an empty one there.
func emptied(t testing.TB, drive string) (medium string) {
	t.Helper()
	medium = t.TempDir()
	for _, name := range regtest.Files(t, drive) {
		must(t, os.Rename(filepath.Join(drive, name), filepath.Join(medium, name)))
	}
	return medium
}
