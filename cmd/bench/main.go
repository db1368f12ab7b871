//go:build linux

// Command bench measures how fast the bundle program moves bytes: against other
// programs that do the same, and against the limit, a program that does nothing
// but move, hash and write.
//
//	go run ./cmd/bench -bundle bin/bundle
//	go run ./cmd/bench -large            # 10 GB, one layer of 4 GB
//	go run ./cmd/bench -growth           # many small things, in place of large ones
//	go run ./cmd/bench -charts DIR       # bundle values against helm template
//
// It makes deterministic images, runs registries itself (docker-registry as a
// process where it is installed, else distribution in this process, which is not
// one of those measured), and runs every contender as a child process, in turns,
// round by round. The table has the best of all rounds, the ratio to the limit
// and to the fastest peer, the peak of resident memory, and how many bytes were
// written per byte of payload. Figures of different runs do not compare: ratios
// within one do.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
)

// A bench is one run of everything.
type bench struct {
	bundle string // the program
	dir    string // for everything that is written
	megs   int64  // payload in megabytes
	large  bool
	rounds int
	only   string
	growth bool
	charts string

	self   string // this program, for the limit
	source string // host of the registry that one.tar came from
	work   workload
	served process // the last server that was started
}

func main() {
	if len(os.Args) > 1 && limits[os.Args[1]] != nil {
		if err := limits[os.Args[1]](os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "limit:", err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) > 2 && os.Args[1] == "serve-shape" {
		n, err := strconv.Atoi(os.Args[2])
		if err == nil {
			err = serveShape(shapes[n])
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "serve:", err)
			os.Exit(1)
		}
		return
	}
	var b bench
	flag.StringVar(&b.bundle, "bundle", "bin/bundle", "the bundle program")
	flag.StringVar(&b.dir, "dir", ".bench", "folder for everything that is written; filled registries are kept in it")
	flag.Int64Var(&b.megs, "size", 1000, "payload in megabytes")
	flag.BoolVar(&b.large, "large", false, "10 GB, with one layer of 4 GB, in place of -size")
	flag.IntVar(&b.rounds, "rounds", 3, "how often everything is measured")
	flag.StringVar(&b.only, "only", "", "measure export, import, verify, again, sets, media, shards, update, inventory or serve alone")
	flag.BoolVar(&b.growth, "growth", false, "measure how exports grow with the number of things, in place of bytes")
	flag.StringVar(&b.charts, "charts", "", "measure bundle values against helm template for the charts in this `folder`, in place of bytes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := b.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (b *bench) run(ctx context.Context) (err error) {
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if b.bundle, err = filepath.Abs(b.bundle); err != nil {
		return err
	}
	if b.dir, err = filepath.Abs(b.dir); err != nil {
		return err
	}
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return err
	}
	switch {
	case b.charts != "":
		return b.values(ctx)
	case b.growth:
		return b.grow(ctx)
	case b.only == "inventory": // needs no large images
		return b.inventory(ctx)
	}
	source, err := b.fill(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	b.source = source.Host()
	b.work.describe()
	if err := b.export(ctx, source.Host(), b.path("one.tar")); err != nil {
		return fmt.Errorf("make the bundle that is imported: %w", err)
	}
	defer func() { err = errors.Join(err, os.Remove(b.path("one.tar"))) }()
	for _, part := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"export", func(ctx context.Context) error { return b.exports(ctx, source.Host()) }},
		{"import", b.imports},
		{"verify", b.verifies},
		{"again", b.again},
		{"sets", func(ctx context.Context) error { return b.sets(ctx, source.Host()) }},
		{"media", b.media},
		{"shards", b.shards},
		{"update", func(ctx context.Context) error { return b.update(ctx, source) }},
		{"inventory", b.inventory},
		{"serve", b.serves},
	} {
		if b.only != "" && b.only != part.name {
			continue
		}
		if err := part.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}

// path is a file or folder in the bench's own folder.
func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }
