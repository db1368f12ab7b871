//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/testdata/regtest"
)

// deltaLimit is what a delta may weigh, and what may be written for it, in the bytes of
// the layers that changed.
const deltaLimit = 1.02

// movedImage is the place of the image that comes from another repository.
const movedImage = 5

// An updated set is the workload a month later.
type updated struct {
	images  []string // references, all of them
	changed int      // layers
	bytes   int64    // of those
}

// age pushes the images of which a layer is another now, three layers in all, and one
// that is what it was and comes from another repository: the target mounts its layers.
func (b *bench) age(ctx context.Context, source *regtest.Registry) (u updated, err error) {
	had := make(map[string]bool)
	for _, blob := range b.work.Blobs {
		had[blob.Digest] = true
	}
	images := b.plan()
	refs := make([]string, len(images))
	for i := range refs {
		refs[i] = b.work.Images[i].Repo + ":1"
	}
	for _, at := range []struct{ image, layer int }{{2, 3}, {3, 3}, {4, 4}} {
		images[at.image].Layers[at.layer].Seed += 1000
		refs[at.image] = b.work.Images[at.image].Repo + ":2"
	}
	refs[movedImage] = b.work.Images[movedImage].Repo + "-moved:1"
	for i, im := range images {
		ref := refs[i]
		if ref != b.work.Images[i].Repo+":1" {
			if _, err := source.PushImage(ctx, ref, im); err != nil {
				return u, err
			}
			_, raw, err := source.Manifest(ctx, ref)
			if err != nil {
				return u, err
			}
			var m ocispec.Manifest
			if err := json.Unmarshal(raw, &m); err != nil {
				return u, err
			}
			for _, l := range m.Layers {
				if !had[l.Digest.String()] {
					u.changed, u.bytes = u.changed+1, u.bytes+l.Size
				}
			}
		}
		u.images = append(u.images, source.Host()+"/"+ref)
	}
	return u, nil
}

// update is what comes a month later: three layers are others. What travels for it is
// compared with moving all again, and what an import asks of a registry that has the
// set of before is counted.
func (b *bench) update(ctx context.Context, source *regtest.Registry) (err error) {
	u, err := b.age(ctx, source)
	if err != nil {
		return err
	}
	host, file, folder, layout := source.Host(), b.path("update.tar"), b.path("update"), b.path("update-layout")
	defer func() { err = errors.Join(err, os.RemoveAll(file)) }()
	ours := func(more ...string) [][]string {
		args := append([]string{b.bundle, "export", "-q", "--unsigned", "--plain-http", host, "-o", file}, more...)
		for _, im := range u.images {
			args = append(args, "--image", im)
		}
		return [][]string{args}
	}
	crane, noCrane := program("crane")
	oras, noOras := program("oras")
	pack := func(folder string) [][]string {
		return [][]string{{"tar", "-cf", file, "-C", folder, "."}, {"sync", file}}
	}
	clean := func() error { return errors.Join(os.RemoveAll(folder), os.RemoveAll(layout), os.RemoveAll(file)) }
	err = b.race(ctx, fmt.Sprintf("update, %d layers of %d others (%.1f MB)", u.changed, len(b.work.Blobs)-len(b.work.Images), float64(u.bytes)/1e6), []contender{
		{name: "bundle export --base, a delta", steps: func() [][]string { return ours("--base", b.path("one.tar")) }},
		{name: "bundle export, all again", steps: func() [][]string { return ours() }},
		{name: "crane pull, tar", lacks: noCrane, steps: func() [][]string {
			pull := append([]string{crane, "pull", "--insecure", "--format=oci"}, u.images...)
			return append([][]string{append(pull, folder)}, pack(folder)...)
		}},
		{name: "oras cp, tar", lacks: noOras, steps: func() (steps [][]string) {
			for i, im := range u.images {
				steps = append(steps, []string{oras, "cp", "--no-tty", "--from-plain-http", im, "--to-oci-layout", fmt.Sprintf("%s:image-%d", layout, i)})
			}
			return append(steps, pack(layout)...)
		}},
	}, clean, clean)
	if err != nil {
		return err
	}
	r, err := command(ctx, nil, ours("--base", b.path("one.tar"))[0])
	if err != nil {
		return err
	}
	st, err := os.Stat(file)
	if err != nil {
		return err
	}
	size, written := float64(st.Size())/float64(u.bytes), float64(r.written)/float64(u.bytes)
	fmt.Printf("the delta weighs %.3f, and %.3f is written, of the layers that changed\n", size, written)
	if size > deltaLimit || written > deltaLimit {
		err = fmt.Errorf("more than %.2f", deltaLimit)
	}
	return errors.Join(err, b.importUpdate(ctx, u, file))
}

// importUpdate counts what an import of the delta asks of a registry.
func (b *bench) importUpdate(ctx context.Context, u updated, file string) (err error) {
	target, err := regtest.Start(regtest.Options{Dir: b.path("target")})
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, target.Close(), os.RemoveAll(b.path("target")), os.RemoveAll(b.path("out")))
	}()
	if _, err := command(ctx, nil, b.importArgs(target.Host(), b.path("one.tar"))); err != nil {
		return err
	}
	target.Log.Reset()
	args := append(b.importArgs(target.Host(), file), "--json")
	r, said, err := reported(ctx, args)
	if err != nil {
		return err
	}
	var report struct {
		Bytes struct{ Moved, Mounted, Present int64 }
	}
	if err := json.Unmarshal(said, &report); err != nil {
		return err
	}
	log := target.Log
	mounts, got := 0, log.Count(http.MethodGet, regtest.Blob)
	for _, q := range log.Requests() {
		if q.Method == http.MethodPost && q.Status == http.StatusCreated {
			mounts++
		}
	}
	fmt.Printf("import of the delta: %.2f s, sent %.1f MB; %d HEAD, %d mounts, %d blobs and %d manifests sent, %d blobs read\n",
		r.took.Seconds(), float64(report.Bytes.Moved)/1e6, log.Count(http.MethodHead, ""), mounts,
		log.Count(http.MethodPut, regtest.Upload), log.Count(http.MethodPut, regtest.Manifest), got)
	if mounts == 0 {
		return errors.New("no layer of the image that moved to another repository was mounted")
	}
	if float64(report.Bytes.Moved) > deltaLimit*float64(u.bytes) {
		return fmt.Errorf("%d bytes were sent for %d that changed", report.Bytes.Moved, u.bytes)
	}
	return nil
}
