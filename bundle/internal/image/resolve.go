package image

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
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

	mu      sync.Mutex
	unasked map[string]*Unasked // by registry
	asked   map[question]outcome
}

func NewResolver(c *remote.Client, jobs int) *Resolver {
	return &Resolver{
		client: c, slots: semaphore.NewWeighted(int64(jobs)),
		unasked: make(map[string]*Unasked), asked: make(map[question]outcome),
	}
}

// do runs f, which makes requests, when there is a slot for it.
func (r *Resolver) do(ctx context.Context, f func() error) error {
	if err := r.slots.Acquire(ctx, 1); err != nil {
		return err
	}
	defer r.slots.Release(1)
	return f()
}

// Images asks the registries for all wanted references at once. What several
// images lack is one *UnfitError that names them all.
func (r *Resolver) Images(ctx context.Context, wanted []Want, choice Choice) ([]*Image, error) {
	images := make([]*Image, len(wanted))
	unfit := make([]*UnfitError, len(wanted))
	absent := make([]error, len(wanted))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(maxAsking)
	for i, w := range wanted {
		g.Go(func() (err error) {
			images[i], err = r.image(ctx, w, choice)
			if unfit[i], err = asUnfit(err, w.found); isMissing(err) {
				absent[i], err = err, nil
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var lacking []missing
	for i, err := range absent {
		if err != nil {
			lacking = append(lacking, missing{wanted[i], err})
		}
	}
	if err := joinMissing(lacking, len(wanted)); err != nil {
		return nil, err
	}
	if err := joinUnfit(unfit); err != nil {
		return nil, err
	}
	return images, nowhere(images)
}

// maxAsking bounds the goroutines that wait for a slot, of one loop.
const maxAsking = 32

func (r *Resolver) image(ctx context.Context, w Want, choice Choice) (*Image, error) {
	if w.all {
		choice = Choice{}
	}
	im := &Image{Ref: w.ref, Found: w.found, Files: w.files}
	if err := r.root(ctx, im); err != nil {
		return nil, withSeen(err, w.found)
	}
	err := r.narrow(ctx, im, choice)
	if err == nil {
		err = r.children(ctx, im, im.Root)
	}
	if err == nil {
		err = im.settle(choice)
	}
	if err == nil {
		err = r.elsewhere(ctx, im)
	}
	if err != nil {
		return nil, withSeen(im.explain(err, choice), w.found)
	}
	im.platforms = im.Content.Platforms(im.Root)
	return im, nil
}

// root reads the document that the reference names.
func (r *Resolver) root(ctx context.Context, im *Image) error {
	return r.do(ctx, func() (err error) {
		var b []byte
		if im.Files != nil {
			im.Source, b, err = im.Files.Root()
		} else {
			im.Source, b, err = r.client.Resolve(ctx, im.Ref.Pull())
		}
		im.Root, im.Content = im.Source, Tree{im.Source.Digest: b}
		return err
	})
}

// deepest is how deep indexes may be nested that are resolved.
const deepest = 4

// children fetches the manifests below an index, level by level, and the config of a single
// image manifest, which alone tells its platform.
func (r *Resolver) children(ctx context.Context, im *Image, root ocispec.Descriptor) error {
	seen := map[digest.Digest]bool{root.Digest: true}
	level := []ocispec.Descriptor{root}
	for depth := 0; len(level) > 0; depth++ {
		if depth > deepest {
			return fmt.Errorf("index nested more than %d levels deep", deepest)
		}
		var next, missing []ocispec.Descriptor
		for _, d := range level {
			children, err := layout.Children(d.MediaType, im.Content[d.Digest])
			if err != nil {
				return err
			}
			for _, c := range children {
				if seen[c.Digest] || !layout.IsManifest(c.MediaType) && (depth > 0 || !IsImageConfig(c)) {
					continue
				}
				seen[c.Digest] = true
				if im.Content[c.Digest] == nil {
					missing = append(missing, c)
				}
				if layout.IsManifest(c.MediaType) {
					next = append(next, c)
				}
			}
		}
		if err := r.documents(ctx, im, missing); err != nil {
			return err
		}
		level = slices.DeleteFunc(next, func(c ocispec.Descriptor) bool { return im.Content[c.Digest] == nil })
	}
	return nil
}

// documents fetches manifests and configs. Those that the registry has lost are
// one *lostError, but for attestations of an image that is reduced: without them
// it is whole.
func (r *Resolver) documents(ctx context.Context, im *Image, list []ocispec.Descriptor) error {
	for _, c := range list {
		if im.read += c.Size; im.read > maxSmall {
			return fmt.Errorf("its manifests and configs have more than %d MiB", maxSmall>>20)
		}
	}
	docs, errs := make([][]byte, len(list)), make([]error, len(list))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(maxAsking)
	for i, c := range list {
		g.Go(func() error {
			err := r.do(gctx, func() (err error) {
				docs[i], err = r.document(gctx, im, c)
				return err
			})
			if errs[i] = err; isLost(err) || isAttestation(c) && remote.Refused(err) {
				return nil
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	var lost lostError
	for i, c := range list {
		switch {
		case errs[i] == nil:
			im.Content[c.Digest] = docs[i]
		case im.reduced() && isAttestation(c):
			im.Lost = append(im.Lost, c.Digest)
		default:
			lost.add(c, errs[i])
		}
	}
	return lost.orNil()
}

// document fetches a manifest or a config.
func (r *Resolver) document(ctx context.Context, im *Image, d ocispec.Descriptor) ([]byte, error) {
	switch {
	case im.Files != nil:
		return readFiles(im.Files, d, MaxConfig)
	case layout.IsManifest(d.MediaType):
		return r.client.Manifest(ctx, im.Ref.Repository(), d)
	}
	return FetchBlob(ctx, r.client, im.Ref.Repository(), d, MaxConfig)
}

func IsImageConfig(d ocispec.Descriptor) bool {
	const docker = "application/vnd.docker.container.image.v1+json"
	return d.MediaType == ocispec.MediaTypeImageConfig || d.MediaType == docker
}

// elsewhere finds out which of the layers that may lie elsewhere are where the
// image is.
func (r *Resolver) elsewhere(ctx context.Context, im *Image) error {
	asked := make(map[digest.Digest]bool)
	var list []ocispec.Descriptor
	for _, d := range im.manifests() {
		children, err := layout.Children(d.MediaType, im.Content[d.Digest])
		if err != nil {
			return err
		}
		for _, c := range children {
			if !layout.IsManifest(c.MediaType) && layout.Elsewhere(c) && !asked[c.Digest] {
				asked[c.Digest] = true
				list = append(list, c)
			}
		}
	}
	has := make([]bool, len(list))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(maxAsking)
	for i, c := range list {
		g.Go(func() error {
			return r.do(gctx, func() (err error) {
				has[i], err = r.has(gctx, im, c)
				return err
			})
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, c := range list {
		if has[i] {
			im.Elsewhere = append(im.Elsewhere, c)
			continue
		}
		im.unserved = append(im.unserved, c)
	}
	return nil
}

func (r *Resolver) has(ctx context.Context, im *Image, d ocispec.Descriptor) (bool, error) {
	if im.Files != nil {
		return im.Files.Has(d), nil
	}
	return r.client.HasBlob(ctx, im.Ref.Repository(), d)
}
