package image

import (
	"context"
	"fmt"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"bundle/bundle/internal/remote"
	"bundle/layout"
)

// maxSmall bounds all documents of one image that are read into memory, in bytes:
// an index can name thousands.
const maxSmall = 64 << 20

// MaxConfig bounds the configs that are read into memory to learn a platform.
const MaxConfig = 8 << 20

// A Resolver reads what is small about images, so many documents at once.
type Resolver struct {
	client *remote.Client
	slots  *semaphore.Weighted
}

func NewResolver(c *remote.Client, jobs int) *Resolver {
	return &Resolver{c, semaphore.NewWeighted(int64(jobs))}
}

// do runs f, which makes requests, when there is a slot for it.
func (r *Resolver) do(ctx context.Context, f func() error) error {
	if err := r.slots.Acquire(ctx, 1); err != nil {
		return err
	}
	defer r.slots.Release(1)
	return f()
}

// Images asks the registries for all wanted references at once.
func (r *Resolver) Images(ctx context.Context, wanted []Want, platforms []Platform) ([]*Image, error) {
	images := make([]*Image, len(wanted))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(maxAsking)
	for i, w := range wanted {
		g.Go(func() error {
			im, err := r.image(ctx, w, platforms)
			images[i] = im
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return images, nil
}

// maxAsking bounds the goroutines that wait for a slot, of one loop.
const maxAsking = 32

func (r *Resolver) image(ctx context.Context, w Want, platforms []Platform) (*Image, error) {
	im := &Image{Ref: w.ref, Found: w.found}
	err := r.do(ctx, func() error {
		root, b, err := r.client.Resolve(ctx, w.ref.Pull())
		im.Source, im.Root, im.Content = root, root, Tree{root.Digest: b}
		return err
	})
	if err != nil {
		return nil, withSeen(err, w.found)
	}
	root := im.Root
	if err := r.children(ctx, im, root, 0); err != nil {
		return nil, withSeen(fmt.Errorf("%s: %w", w.ref, err), w.found)
	}
	if im.Root, err = im.Content.subset(root, platforms); err != nil {
		return nil, fmt.Errorf("%s: %w", w.ref, err)
	}
	if im.Root.Digest != root.Digest {
		if err := im.forgetUnreachable(); err != nil {
			return nil, fmt.Errorf("%s: %w", w.ref, err)
		}
	}
	im.platforms = im.Content.Platforms(im.Root)
	return im, nil
}

// children fetches the manifests below an index, and the config of a single
// image manifest, which alone tells its platform.
func (r *Resolver) children(ctx context.Context, im *Image, d ocispec.Descriptor, depth int) error {
	const deepest = 4
	if depth > deepest {
		return fmt.Errorf("index nested more than %d levels deep", deepest)
	}
	children, err := layout.Children(d.MediaType, im.Content[d.Digest])
	if err != nil {
		return err
	}
	missing := slices.DeleteFunc(children, func(c ocispec.Descriptor) bool {
		return im.Content[c.Digest] != nil || !layout.IsManifest(c.MediaType) && (depth > 0 || !IsImageConfig(c))
	})
	for _, c := range missing {
		if im.read += c.Size; im.read > maxSmall {
			return fmt.Errorf("its manifests and configs have more than %d MiB", maxSmall>>20)
		}
	}
	docs := make([][]byte, len(missing))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(maxAsking)
	for i, c := range missing {
		g.Go(func() error {
			return r.do(gctx, func() (err error) {
				docs[i], err = r.document(gctx, im.Ref.Repository(), c)
				return err
			})
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, c := range missing {
		im.Content[c.Digest] = docs[i]
	}
	for _, c := range missing {
		if layout.IsManifest(c.MediaType) {
			if err := r.children(ctx, im, c, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// document fetches a manifest or a config.
func (r *Resolver) document(ctx context.Context, repo string, d ocispec.Descriptor) ([]byte, error) {
	if layout.IsManifest(d.MediaType) {
		return r.client.Manifest(ctx, repo, d)
	}
	return FetchBlob(ctx, r.client, repo, d, MaxConfig)
}

func IsImageConfig(d ocispec.Descriptor) bool {
	const docker = "application/vnd.docker.container.image.v1+json"
	return d.MediaType == ocispec.MediaTypeImageConfig || d.MediaType == docker
}
