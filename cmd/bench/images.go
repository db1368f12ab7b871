//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/testdata/regtest"
)

// A workload is a set of images in a registry.
type workload struct {
	Images  []pushed
	Blobs   []blob // each once
	Payload int64  // bytes of all blobs
}

// pushed is one image.
type pushed struct {
	Repo   string
	Digest string
}

// blob is what the limit moves.
type blob struct {
	Repo   string
	Digest string
	Size   int64
}

func (i pushed) tagged(host string) string { return host + "/" + i.Repo + ":1" }

func (w *workload) describe() {
	fmt.Printf("%d images, %d blobs, %d MB\n", len(w.Images), len(w.Blobs), w.Payload/1e6)
}

// plan makes nine images on one base: layers that compress and layers that do
// not, many small ones, and one that is large.
func (b *bench) plan() []regtest.Image {
	const million = 1_000_000
	total, largest := b.megs*million, b.megs*million*3/10
	if b.large {
		total, largest = 10_000*million, 4_000*million
	}
	base := []regtest.Layer{
		{Size: total / 20, Seed: 1},
		{Size: total / 20, Seed: 2, Compressible: true},
		{Size: 2000, Seed: 3},
	}
	var images []regtest.Image
	on := func(own ...regtest.Layer) {
		images = append(images, regtest.Image{Layers: append(base[:len(base):len(base)], own...)})
	}
	on()
	on(regtest.Layer{Size: largest, Seed: 10})
	var small []regtest.Layer
	for i := range int64(40) {
		small = append(small, regtest.Layer{Size: total / 10_000, Seed: 100 + i})
	}
	on(small...)
	rest := (total - total/20 - total/40 - largest - total*40/10_000) / 6
	for i := range int64(6) {
		on(regtest.Layer{Size: rest * 2 / 3, Seed: 20 + i}, regtest.Layer{Size: rest * 2 / 3, Seed: 30 + i, Compressible: true})
	}
	return images
}

// sourceDir is the storage of the registry that is pulled from.
func (b *bench) sourceDir() string {
	if b.large {
		return b.path("source-large")
	}
	return b.path(fmt.Sprintf("source-%d", b.megs))
}

// fill starts the registry that is exported from. What an earlier run with the
// same workload has put into its folder is used again.
func (b *bench) fill(ctx context.Context) (*regtest.Registry, error) {
	dir := b.sourceDir()
	reg, err := startRegistry(dir)
	if err != nil {
		return nil, err
	}
	done := dir + ".json"
	if raw, err := os.ReadFile(done); err == nil && json.Unmarshal(raw, &b.work) == nil {
		return reg, nil
	}
	fmt.Println("making images")
	seen := make(map[string]bool)
	for i, im := range b.plan() {
		if err := b.push(ctx, reg, i, im, seen); err != nil {
			return nil, errors.Join(err, reg.Close())
		}
	}
	raw, err := json.Marshal(b.work)
	if err == nil {
		err = os.WriteFile(done, raw, 0o644)
	}
	if err != nil {
		return nil, errors.Join(err, reg.Close())
	}
	return reg, nil
}

func (b *bench) push(ctx context.Context, reg *regtest.Registry, i int, im regtest.Image, seen map[string]bool) error {
	repo := fmt.Sprintf("bench/image-%d", i)
	desc, err := reg.PushImage(ctx, repo+":1", im)
	if err != nil {
		return err
	}
	b.work.Images = append(b.work.Images, pushed{repo, desc.Digest.String()})
	_, raw, err := reg.Manifest(ctx, repo+":1")
	if err != nil {
		return err
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return err
	}
	for _, d := range append(m.Layers, m.Config) {
		if !seen[d.Digest.String()] {
			seen[d.Digest.String()] = true
			b.work.Blobs = append(b.work.Blobs, blob{repo, d.Digest.String(), d.Size})
			b.work.Payload += d.Size
		}
	}
	return nil
}

// startRegistry runs a registry over a folder.
func startRegistry(dir string) (*regtest.Registry, error) {
	reg, err := regtest.StartProcess(regtest.Options{Dir: dir})
	if errors.Is(err, regtest.ErrNoProcess) {
		return regtest.Start(regtest.Options{Dir: dir})
	}
	return reg, err
}

// withoutHost is the reference that a peer gives an image in a layout: a name
// without colons.
func (i pushed) withoutHost() string { return strings.ReplaceAll(i.Repo, "/", "-") }
