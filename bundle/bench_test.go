package bundle

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"bundle/bundle/internal/trust"
	"bundle/testdata/regtest"
)

// The benchmarks move 200 MB through a registry that is a process of its own
// where docker-registry is installed, so that a profile
//
//	go test ./bundle -run '^$' -bench Import -cpuprofile cpu.out
//	go tool pprof -top bundle.test cpu.out
//
// shows what this side costs.

func benchRegistry(b *testing.B) *regtest.Registry {
	b.Helper()
	reg, err := regtest.StartProcess(regtest.Options{Dir: b.TempDir()})
	if errors.Is(err, regtest.ErrNoProcess) {
		reg, err = regtest.Start(regtest.Options{Dir: b.TempDir()})
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { reg.Close() })
	return reg
}

// benchExport fills a registry with four images that share a base, and says how
// to export them.
func benchExport(b *testing.B) ExportOptions {
	b.Helper()
	reg := benchRegistry(b)
	o := ExportOptions{
		Output:   filepath.Join(b.TempDir(), "bench.tar"),
		Unsigned: true,
		Registry: RegistryOptions{PlainHTTP: []string{reg.Host()}},
	}
	for i := range int64(4) {
		ref := fmt.Sprintf("bench/image-%d:1", i)
		pushImage(b, reg, ref, regtest.Image{Layers: []regtest.Layer{
			{Size: 40_000_000, Seed: 1}, {Size: 30_000_000, Seed: 10 + i}, {Size: 10_000_000, Seed: 20 + i}}})
		o.Images = append(o.Images, reg.Host()+"/"+ref)
	}
	return o
}

func BenchmarkExport(b *testing.B) {
	o := benchExport(b)
	for b.Loop() {
		rep, err := Export(context.Background(), o)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(rep.Payload)
	}
}

func BenchmarkImport(b *testing.B) {
	from := benchExport(b)
	rep, err := Export(context.Background(), from)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(rep.Payload)
	for b.Loop() {
		b.StopTimer()
		priv := benchRegistry(b)
		o := onto(priv, trust.TrustAnyone())
		o.OutputDir = b.TempDir()
		b.StartTimer()
		if _, err := Import(context.Background(), from.Output, o); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		priv.Close()
		b.StartTimer()
	}
}
