//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
)

// most is what an inventory of the shape with the most images may take.
const (
	inventorySeconds = 10
	inventoryMemory  = 96 << 20
)

// inventory brings the shape with the most images into a registry, and asks it what
// it has, by its records and by its tags.
func (b *bench) inventory(ctx context.Context) (err error) {
	many := slices.IndexFunc(shapes, func(s shape) bool { return s.images == 5000 })
	host, stop, err := b.serveShape(ctx, many)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	args, err := b.shapeArgs(shapes[many], host)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.path("grow.tar")), os.RemoveAll(b.path("out"))) }()
	for _, step := range [][]string{args, b.importArgs(host, b.path("grow.tar"))} {
		if _, err := command(ctx, nil, step); err != nil {
			return err
		}
	}
	fmt.Printf("\ninventory of %d images\tblobs\tbest s\tCPU s\tpeak MB\n", shapes[many].images)
	file := b.path("site.inventory")
	defer func() { err = errors.Join(err, os.Remove(file)) }()
	for _, by := range [][]string{{"--registry", host + "/apps"}, {"--registry", host + "/apps", "--catalog"}} {
		args := append([]string{b.bundle, "inventory", "--json", "--progress", "none", "--plain-http", host, "--unsigned", "-o", file}, by...)
		var rounds []result
		var report struct{ Blobs int }
		for range b.rounds {
			r, said, err := reported(ctx, args)
			if err != nil {
				return err
			}
			if err := json.Unmarshal(said, &report); err != nil {
				return err
			}
			rounds = append(rounds, r)
		}
		r := slices.MinFunc(rounds, func(x, y result) int { return int(x.took - y.took) })
		for _, other := range rounds {
			r.memory = max(r.memory, other.memory)
		}
		name := "by records"
		if len(by) > 2 {
			name = "by tags"
		}
		fmt.Printf("%s\t%d\t%.2f\t%.2f\t%d\n", name, report.Blobs, r.took.Seconds(), r.cpu.Seconds(), r.memory>>20)
		if r.took.Seconds() > inventorySeconds || r.memory > inventoryMemory {
			err = errors.Join(err, fmt.Errorf("%s: %.1f s and %d MB are more than %d s and %d MB", name, r.took.Seconds(), r.memory>>20, inventorySeconds, inventoryMemory>>20))
		}
	}
	return err
}
