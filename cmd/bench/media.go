//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"bundle/testdata/medium"
	"bundle/testdata/regtest"
)

const (
	mediaCount = 5
	mediaSpeed = 5e6 // bytes a second, of each
)

// media measures how near several slow media that are there at once come to the sum
// of their speeds. The bundle has 400 layers of 0.5 MB, so that parts weigh the same.
func (b *bench) media(ctx context.Context) (err error) {
	reg, err := regtest.Start(regtest.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, reg.Close()) }()
	one := b.path("even.tar")
	args := []string{b.bundle, "export", "-q", "--unsigned", "--plain-http", reg.Host()}
	for i := range int64(20) {
		var layers []regtest.Layer
		for l := range int64(20) {
			layers = append(layers, regtest.Layer{Size: 500_000, Seed: 1000*i + l})
		}
		repo := fmt.Sprintf("even/image-%d:1", i)
		if _, err := reg.PushImage(ctx, repo, regtest.Image{Layers: layers}); err != nil {
			return err
		}
		args = append(args, "--image", reg.Host()+"/"+repo)
	}
	args = args[:len(args):len(args)]
	if _, err := command(ctx, nil, append(args, "-o", one)); err != nil {
		return err
	}
	st, err := os.Stat(one)
	if err != nil {
		return err
	}
	dirs, closeAll, err := b.mount()
	defer func() { err = errors.Join(err, closeAll(), os.RemoveAll(one), os.RemoveAll(b.path("out"))) }()
	if err != nil {
		fmt.Printf("\nslow media are not measured, which takes FUSE and the right to mount: %v\n", err)
		return nil
	}
	size := strconv.FormatInt(st.Size()/mediaCount+500_000, 10)
	m := mediaRace{b, dirs, st.Size()}
	fmt.Printf("\n%d media of %.0f MB/s each, %d MB in parts\n", mediaCount, mediaSpeed/1e6, st.Size()/1e6)
	write := append(args, "--split-size", size)
	for _, dir := range dirs {
		write = append(write, "-o", dir)
	}
	if err := m.run(ctx, "export, --no-read-back", 1, append(write[:len(write):len(write)], "--no-read-back")); err != nil {
		return err
	}
	if err := m.empty(); err != nil {
		return err
	}
	if err := m.run(ctx, "export, read back", 2, write); err != nil {
		return err
	}
	if err := m.run(ctx, "verify", 1, append([]string{b.bundle, "verify", "-q", "--insecure-skip-signature"}, dirs...)); err != nil {
		return err
	}
	target, err := regtest.Start(regtest.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	if err := m.run(ctx, "import", 1, append(b.importArgs(target.Host(), dirs[0]), dirs[1:]...)); err != nil {
		return err
	}
	return m.parity(ctx, write)
}

// parity measures what is written with 2 parts of parity: each of the others is
// written, read back, and read once more while parity is written; and that is read
// back.
func (m mediaRace) parity(ctx context.Context, write []string) error {
	if err := m.empty(); err != nil {
		return err
	}
	return m.run(ctx, "export, read back, with parity", 4, append(write, "--parity", "2"))
}

// mount mounts slow media.
func (b *bench) mount() (dirs []string, closeAll func() error, err error) {
	var media []*medium.Medium
	closeAll = func() (err error) {
		for _, m := range media {
			err = errors.Join(err, m.Close())
		}
		return errors.Join(err, os.RemoveAll(b.path("media")))
	}
	for i := range mediaCount {
		o := medium.Options{
			Path: b.path(fmt.Sprintf("media/%d", i+1)), Store: b.path(fmt.Sprintf("media/%d.store", i+1)), Speed: mediaSpeed,
		}
		if err := errors.Join(os.MkdirAll(o.Path, 0o755), os.MkdirAll(o.Store, 0o755)); err != nil {
			return nil, closeAll, err
		}
		m, err := medium.Mount(o)
		if err != nil {
			return nil, closeAll, err
		}
		media, dirs = append(media, m), append(dirs, o.Path)
	}
	return dirs, closeAll, nil
}

// A mediaRace measures commands against the sum of the media's speeds.
type mediaRace struct {
	*bench
	dirs []string
	size int64
}

// run measures a command that moves the whole bundle some times.
func (m mediaRace) run(ctx context.Context, what string, times float64, args []string) error {
	if err := dropCaches(m.dirs); err != nil {
		return err
	}
	r, err := command(ctx, nil, args)
	if err != nil {
		return err
	}
	least := time.Duration(times * float64(m.size) / (mediaCount * mediaSpeed) * float64(time.Second))
	fmt.Printf("%s: %.2f s, %.2f of the sum of their speeds, %.2f CPU s, peak %d MB\n", what, r.took.Seconds(), least.Seconds()/r.took.Seconds(), r.cpu.Seconds(), r.memory>>20)
	return nil
}

// empty removes what is on the media.
func (m mediaRace) empty() error {
	for _, dir := range m.dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			return err
		}
		for _, f := range files {
			if err := os.Remove(f); err != nil {
				return err
			}
		}
	}
	return nil
}

// dropCaches has files read from their media again.
func dropCaches(dirs []string) error {
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			return err
		}
		for _, path := range files {
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			err = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
			if err = errors.Join(err, f.Close()); err != nil {
				return err
			}
		}
	}
	return nil
}
