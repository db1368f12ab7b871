package layout_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"bundle/layout"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
)

const benchBlob = 16 << 20

// BenchmarkWriter writes four blobs of 16 MiB at the same time, fsync included.
func BenchmarkWriter(b *testing.B) {
	s := newSample(b, benchBlob, benchBlob, benchBlob, benchBlob)
	plan := s.plan(b)
	path := filepath.Join(b.TempDir(), "a.bundle")
	b.SetBytes(plan.Size())
	for b.Loop() {
		w := create(b, path, plan)
		var group errgroup.Group
		for d, data := range s.late {
			group.Go(func() error { return writeBlob(w, d, data) })
		}
		if err := group.Wait(); err != nil {
			b.Fatal(err)
		}
		if err := w.Commit(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStream(b *testing.B) {
	s := newSample(b, benchBlob)
	plan := s.plan(b)
	b.SetBytes(plan.Size())
	for b.Loop() {
		if err := layout.Stream(io.Discard, plan, s.open); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpenBlob reads and verifies from a file.
func BenchmarkOpenBlob(b *testing.B) {
	s := newSample(b, benchBlob)
	data := s.bytes(b)
	path := filepath.Join(b.TempDir(), "a.bundle")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		b.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	r, err := layout.NewReader(file, int64(len(data)))
	if err != nil {
		b.Fatal(err)
	}
	d := digest.FromBytes(pseudo(0, benchBlob))
	buf := make([]byte, 256<<10)
	b.SetBytes(benchBlob)
	for b.Loop() {
		rc, err := r.OpenBlob(d)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.CopyBuffer(io.Discard, onlyReader{rc}, buf); err != nil {
			b.Fatal(err)
		}
	}
}

type onlyReader struct{ io.Reader }

// BenchmarkNewReader reads the headers of 10,000 entries.
func BenchmarkNewReader(b *testing.B) {
	files := newSample(b).files
	for i := range 10_000 {
		d := digest.FromString(fmt.Sprint(i))
		files = append(files, layout.File{Name: layout.BlobName(d), Size: int64(len(fmt.Sprint(i))), Data: []byte(fmt.Sprint(i))})
	}
	plan, err := layout.NewPlan(files, testTime)
	if err != nil {
		b.Fatal(err)
	}
	var buf bytes.Buffer
	if err := layout.Stream(&buf, plan, nil); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := newReader(buf.Bytes()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(files)), "ns/entry")
}
