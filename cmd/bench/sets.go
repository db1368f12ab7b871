//go:build linux

package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"bundle/layout/parity"
	"bundle/testdata/regtest"
)

// sets measures bundles in parts against bundles in one file, and parity.
func (b *bench) sets(ctx context.Context, host string) (err error) {
	list, err := b.writeWorkload()
	if err != nil {
		return err
	}
	st, err := os.Stat(b.path("one.tar"))
	if err != nil {
		return err
	}
	size := strconv.FormatInt(st.Size()/5+b.work.Payload/25, 10)
	set, raw := b.path("set"), b.path("raw")
	defer func() {
		err = errors.Join(err, os.RemoveAll(set), os.RemoveAll(raw), os.RemoveAll(b.path("fixed")), os.RemoveAll(b.path("out")))
	}()
	clean := func() error {
		return errors.Join(os.RemoveAll(set), os.RemoveAll(b.path("export.tar")), os.Mkdir(set, 0o755))
	}
	parts := append(b.exportArgs(host, set), "--split-size", size)
	one := []string{b.self, "limit-export", list, host, b.path("export.tar")}
	for _, race := range []struct {
		title      string
		contenders []contender
	}{
		{"export in parts, --no-read-back", []contender{
			{name: "limit, one file", steps: func() [][]string { return [][]string{one} }},
			{name: "bundle export, one file", steps: func() [][]string { return [][]string{b.exportArgs(host, b.path("export.tar"))} }},
			{name: "bundle export, parts", steps: func() [][]string {
				return [][]string{append(parts[:len(parts):len(parts)], "--no-read-back")}
			}},
		}},
		{"export in parts, read back", []contender{
			{name: "limit, one file", steps: func() [][]string {
				return [][]string{one, {b.self, "limit-reread", b.path("export.tar")}}
			}},
			{name: "bundle export, parts", steps: func() [][]string { return [][]string{parts} }},
		}},
	} {
		if err := b.race(ctx, race.title, race.contenders, clean, clean); err != nil {
			return err
		}
	}
	if _, err := command(ctx, nil, parts); err != nil {
		return err
	}
	found, err := filepath.Glob(filepath.Join(set, "*.bundle.tar.[0-9]*"))
	if err != nil {
		return err
	}
	fmt.Printf("%d parts\n", len(found))
	if err := b.importSet(ctx, list, raw, set); err != nil {
		return err
	}
	return b.parity(ctx, set, found)
}

// importSet lets a set race against one file into an empty registry.
func (b *bench) importSet(ctx context.Context, list, raw, set string) error {
	if err := b.rawPayload(ctx, list, raw); err != nil {
		return err
	}
	var target *regtest.Registry
	before := func() (err error) {
		if err := os.RemoveAll(b.path("target")); err != nil {
			return err
		}
		target, err = startRegistry(b.path("target"))
		return err
	}
	after := func() error { return errors.Join(target.Close(), os.RemoveAll(b.path("target"))) }
	return b.race(ctx, "import from parts", []contender{
		{name: "limit, one file", steps: func() [][]string { return [][]string{{b.self, "limit-import", list, target.Host(), raw}} }},
		{name: "bundle import, one file", steps: func() [][]string { return [][]string{b.importArgs(target.Host(), b.path("one.tar"))} }},
		{name: "bundle import, parts", steps: func() [][]string { return [][]string{b.importArgs(target.Host(), set)} }},
	}, before, after)
}

// parity measures the code by itself, and the commands over the parts of a set.
func (b *bench) parity(ctx context.Context, set string, parts []string) error {
	for _, columns := range [][2]int{{5, 2}, {10, 2}, {20, 3}} {
		if err := codeRates(columns[0], columns[1]); err != nil {
			return err
		}
	}
	report := func(what string, r result) {
		fmt.Printf("%s: %.2f s, %.2f CPU s, peak %d MB\n", what, r.took.Seconds(), r.cpu.Seconds(), r.memory>>20)
	}
	r, err := command(ctx, nil, []string{b.bundle, "verify", "-q", "--insecure-skip-signature", set})
	if err != nil {
		return err
	}
	report("bundle verify, parts", r)
	if r, err = command(ctx, nil, []string{b.bundle, "protect", "-q", set, "--parity", "2"}); err != nil {
		return err
	}
	report("bundle protect, 2 of parity", r)
	if err := errors.Join(os.Remove(parts[0]), os.Remove(parts[len(parts)-1])); err != nil {
		return err
	}
	if r, err = command(ctx, nil, []string{b.bundle, "repair", "-q", set, "-o", b.path("fixed")}); err != nil {
		return err
	}
	report("bundle repair, 2 parts lost", r)
	return nil
}

// codeRates prints how fast one core encodes, reconstructs and hashes.
func codeRates(data, par int) error {
	code, err := parity.New(data, par)
	if err != nil {
		return err
	}
	var pool parity.Stripes
	stripe := pool.Get(data + par)
	random := rand.NewChaCha8([32]byte{1})
	for _, block := range stripe {
		_, _ = random.Read(block) // does not fail
	}
	rate := func(f func() error) float64 {
		const least = time.Second
		var bytes int
		start := cpuTime()
		for cpuTime()-start < least && err == nil {
			err = f()
			bytes += data << 20
		}
		return float64(bytes) / (cpuTime() - start).Seconds() / 1e9
	}
	encode := rate(func() error { return code.Encode(stripe) })
	sums := rate(func() error {
		for _, block := range stripe {
			_ = parity.Sum(block)
		}
		return nil
	})
	repair := rate(func() error {
		for c := range par {
			stripe[c] = stripe[c][:0]
		}
		return code.Reconstruct(stripe)
	})
	hash := rate(func() error {
		for _, block := range stripe[:data] {
			_ = sha256.Sum256(block)
		}
		return nil
	})
	fmt.Printf("parity %d+%d, GB/s of data a core: encode and check %.1f, CRC-32C of all blocks %.1f, reconstruct %d %.1f; sha256 %.1f\n",
		data, par, encode, sums, par, repair, hash)
	return err
}

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
