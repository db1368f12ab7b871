package bundle

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

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

// maxConfig bounds the configs that are read into memory to learn a platform.
const maxConfig = 8 << 20

// An image is one reference with everything small about it read: the plan is
// made from these, before the first layer moves.
type image struct {
	ref       Reference
	source    ocispec.Descriptor // what the registry answered
	root      ocispec.Descriptor // what goes into the bundle
	content   tree
	platforms []Platform
	found     []Finding

	subject     digest.Digest // what it is attached to, where it is a referrer
	destination string        // path:tag on the other side, where the user chose it
	read        int64         // bytes of manifests and configs below the root
}

// name is the image's name in index.json. A reference pinned to a digest that
// a platform choice replaced carries the digest that is inside.
func (im *image) name() string {
	r := im.ref
	if r.Digest != "" {
		r.Digest = im.root.Digest
	}
	return r.String()
}

// size adds up every blob of the image, manifests included, each once.
func (im *image) size() (int64, error) {
	all, err := layout.Reachable([]ocispec.Descriptor{im.root}, im.content.fetch)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", im.ref, err)
	}
	var n int64
	for _, d := range all {
		n += d.Size
	}
	return n, nil
}

func (t tree) fetch(d ocispec.Descriptor) ([]byte, error) {
	b, ok := t[d.Digest]
	if !ok {
		return nil, fmt.Errorf("%s %s is missing", d.MediaType, d.Digest)
	}
	return b, nil
}

// A resolver reads what is small about images, so many documents at once.
type resolver struct {
	client *remote.Client
	slots  *semaphore.Weighted
}

func newResolver(c *remote.Client, jobs int) *resolver {
	return &resolver{c, semaphore.NewWeighted(int64(jobs))}
}

// do runs f, which makes requests, when there is a slot for it.
func (r *resolver) do(ctx context.Context, f func() error) error {
	if err := r.slots.Acquire(ctx, 1); err != nil {
		return err
	}
	defer r.slots.Release(1)
	return f()
}

// images asks the registries for all wanted references at once.
func (r *resolver) images(ctx context.Context, wanted []want, platforms []Platform) ([]*image, error) {
	images := make([]*image, len(wanted))
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

func (r *resolver) image(ctx context.Context, w want, platforms []Platform) (*image, error) {
	im := &image{ref: w.ref, found: w.found}
	err := r.do(ctx, func() error {
		root, b, err := r.client.Resolve(ctx, w.ref.pull())
		im.source, im.root, im.content = root, root, tree{root.Digest: b}
		return err
	})
	if err != nil {
		return nil, withSeen(err, w.found)
	}
	root := im.root
	if err := r.children(ctx, im, root, 0); err != nil {
		return nil, withSeen(fmt.Errorf("%s: %w", w.ref, err), w.found)
	}
	if im.root, err = im.content.subset(root, platforms); err != nil {
		return nil, fmt.Errorf("%s: %w", w.ref, err)
	}
	if im.root.Digest != root.Digest {
		if err := im.forgetUnreachable(); err != nil {
			return nil, fmt.Errorf("%s: %w", w.ref, err)
		}
	}
	im.platforms = im.content.platforms(im.root)
	return im, nil
}

// children fetches the manifests below an index, and the config of a single
// image manifest, which alone tells its platform.
func (r *resolver) children(ctx context.Context, im *image, d ocispec.Descriptor, depth int) error {
	const deepest = 4
	if depth > deepest {
		return fmt.Errorf("index nested more than %d levels deep", deepest)
	}
	children, err := layout.Children(d.MediaType, im.content[d.Digest])
	if err != nil {
		return err
	}
	missing := slices.DeleteFunc(children, func(c ocispec.Descriptor) bool {
		return im.content[c.Digest] != nil || !layout.IsManifest(c.MediaType) && (depth > 0 || !isImageConfig(c))
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
				docs[i], err = r.document(gctx, im.ref.Repository(), c)
				return err
			})
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, c := range missing {
		im.content[c.Digest] = docs[i]
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
func (r *resolver) document(ctx context.Context, repo string, d ocispec.Descriptor) ([]byte, error) {
	if layout.IsManifest(d.MediaType) {
		return r.client.Manifest(ctx, repo, d)
	}
	return fetchBlob(ctx, r.client, repo, d, maxConfig)
}

func isImageConfig(d ocispec.Descriptor) bool {
	const docker = "application/vnd.docker.container.image.v1+json"
	return d.MediaType == ocispec.MediaTypeImageConfig || d.MediaType == docker
}

// forgetUnreachable drops what a platform choice left behind, so that it is
// neither counted nor carried.
func (im *image) forgetUnreachable() error {
	all, err := layout.Reachable([]ocispec.Descriptor{im.root}, im.content.fetch)
	if err != nil {
		return err
	}
	kept := make(tree)
	for _, d := range all {
		if b, ok := im.content[d.Digest]; ok {
			kept[d.Digest] = b
		}
	}
	im.content = kept
	return nil
}

// fetchBlob reads a small blob whole and checks it.
func fetchBlob(ctx context.Context, c *remote.Client, repo string, d ocispec.Descriptor, limit int64) ([]byte, error) {
	if d.Size > limit {
		return nil, fmt.Errorf("%s: blob %s has %d bytes, more than the %d allowed for a %s", repo, d.Digest, d.Size, limit, d.MediaType)
	}
	rc, err := c.Blob(ctx, repo, d)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	b, err := io.ReadAll(io.LimitReader(rc, d.Size+1))
	if err != nil {
		return nil, about(repo, err)
	}
	if err := checkBytes(d, b); err != nil {
		return nil, fmt.Errorf("%s: %w", repo, err)
	}
	return b, nil
}

func checkBytes(d ocispec.Descriptor, b []byte) error {
	if int64(len(b)) != d.Size {
		return fmt.Errorf("blob %s: got %d bytes, want %d", d.Digest, len(b), d.Size)
	}
	if got := d.Digest.Algorithm().FromBytes(b); got != d.Digest {
		return fmt.Errorf("blob %s: content has digest %s", d.Digest, got)
	}
	return nil
}

// A want is a reference to fetch and every place that asks for it.
type want struct {
	ref   Reference
	found []Finding
}

// collectWanted merges findings that name the same thing, in the order of the
// references, so that a plan does not depend on the order of its inputs.
func collectWanted(findings []Finding) ([]want, error) {
	byName := make(map[string]*want)
	for _, f := range findings {
		ref, err := ParseReference(f.Raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Where(), err)
		}
		w := byName[ref.String()]
		if w == nil {
			w = &want{ref: ref}
			byName[ref.String()] = w
		}
		w.found = append(w.found, f)
	}
	all := make([]want, 0, len(byName))
	for _, name := range sortedKeys(byName) {
		all = append(all, *byName[name])
	}
	return all, nil
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// withSeen adds to a failed resolve where the reference was seen: the user may
// never have heard of it.
func withSeen(err error, found []Finding) error {
	if len(found) == 0 || found[0].Chart == "" {
		return err
	}
	where := "seen in " + found[0].Where()
	if n := len(found) - 1; n > 0 {
		where += fmt.Sprintf(" and %d more", n)
	}
	if h := Hint(err); h != "" {
		where += "\n" + h
	}
	return withHint(err, where)
}
