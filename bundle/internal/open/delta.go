package open

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/progress"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/trust"
	"bundle/checksum"
	"bundle/layout"
	"bundle/layout/parts"
)

// Required are the blobs that a delta leaves out; none of a bundle that is whole.
func (b *Bundle) Required() []ocispec.Descriptor { return b.absent }

// LeftOut reports whether a delta leaves a blob out.
func (b *Bundle) LeftOut(d digest.Digest) bool {
	_, inside := b.Reader.Entry(layout.BlobName(d))
	return !inside
}

// matchRequired compares what is not inside with what the record says of it: layers
// may be left out, and nothing that the bundle is opened or rendered with.
func (b *Bundle) matchRequired() error {
	listed := make(map[digest.Digest]record.Layer)
	if r := b.Record.Requires; r != nil {
		if err := r.Check(); err != nil {
			return fault.Damage("bundle record", err)
		}
		for _, l := range r.Layers {
			listed[l.Digest] = l
		}
	}
	layers := map[digest.Digest]bool{}
	if len(b.absent) > 0 {
		layers = b.Layers()
	}
	for _, d := range b.absent {
		l, ok := listed[d.Digest]
		blob := layout.BlobName(d.Digest)
		switch {
		case !ok && b.beyond[d.Digest]:
			continue
		case !ok:
			return fault.Damage(blob, fmt.Errorf("named by a manifest as %s, but not in the bundle", d.MediaType))
		case !layers[d.Digest]:
			return fault.Damage(blob, fmt.Errorf("left out, but more than a layer of an image: %s", d.MediaType))
		case l.Size != d.Size:
			return fault.Damage(blob, fmt.Errorf("the record requires %d bytes of it, but its descriptor says %d", l.Size, d.Size))
		}
		delete(listed, d.Digest)
	}
	if r := b.Record.Requires; len(listed) > 0 {
		i := slices.IndexFunc(r.Layers, func(l record.Layer) bool { return listed[l.Digest].Digest != "" })
		return fault.Damage(layout.BlobName(r.Layers[i].Digest), errors.New("the record says that it is left out, but it is inside, or nothing needs it"))
	}
	return b.extra
}

// Head opens what is known of a bundle without its layers: a file of it, or its head
// alone. What it is good for is to know what is in it.
func Head(ctx context.Context, path string, trust *trust.Trust) (*Bundle, error) {
	b, err := File(ctx, path, trust)
	var cut *layout.FormatError
	if err == nil || !errors.As(err, &cut) {
		return b, err
	}
	f, perr := parts.Open(ctx, []string{path})
	if perr != nil {
		return nil, err
	}
	r, herr := layout.NewHeadReader(f, f.Size())
	if herr != nil {
		return nil, errors.Join(err, f.Close())
	}
	b = &Bundle{Reader: r, Size: f.Size(), Parts: f, beyond: make(map[digest.Digest]bool)}
	beside, err := trust.Beside(f.Beside()...)
	if err == nil {
		err = b.check(ctx, trust, beside...)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, ExplainRead(err)), b.Close())
	}
	return b, nil
}

// A lender is a bundle whose blobs another one may take. Nothing in it is believed:
// its headers are read, and its blobs have to have the digest that they are asked
// for by.
type lender struct {
	path   string
	file   *parts.File
	reader *layout.Reader
}

// has reports whether all of a blob is there.
func (l *lender) has(d digest.Digest) bool {
	e, ok := l.reader.Entry(layout.BlobName(d))
	return ok && len(l.file.Missing(e.Offset, e.Offset+e.Size)) == 0
}

// lender returns one that has a blob which the bundle itself leaves out.
func (b *Bundle) lender(d digest.Digest) *lender {
	if len(b.lenders) == 0 {
		return nil
	}
	if _, inside := b.Reader.Entry(layout.BlobName(d)); inside {
		return nil
	}
	for _, l := range b.lenders {
		if l.has(d) {
			return l
		}
	}
	return nil
}

// Lent counts the blobs that are left out, and that other bundles have.
func (b *Bundle) Lent() (n int) {
	for _, d := range b.absent {
		if b.lender(d.Digest) != nil {
			n++
		}
	}
	return n
}

// checkLent reads those to their end.
func (b *Bundle) checkLent(ctx context.Context, pr progress.Reporter) error {
	var damage []error
	for _, d := range b.absent {
		l := b.lender(d.Digest)
		if l == nil {
			continue
		}
		rc, err := l.reader.OpenBlob(d.Digest)
		if err == nil {
			err = errors.Join(drain(ctx, rc, pr), rc.Close())
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			damage = append(damage, fmt.Errorf("%s: %w", l.path, err))
		}
	}
	return errors.Join(damage...)
}

func closeAll(lenders []*lender) error {
	var errs []error
	for _, l := range lenders {
		errs = append(errs, l.file.Close())
	}
	return errors.Join(errs...)
}

// openAll opens the bundle that the first path belongs to, with whatever other
// paths have of it, and beside it other bundles.
func openAll(ctx context.Context, paths []string) (*parts.File, []*lender, error) {
	f, err := parts.Open(ctx, paths)
	var several *parts.SeveralError
	if !errors.As(err, &several) || len(paths) == 1 {
		return f, nil, err
	}
	groups, err := groupByBundle(ctx, paths)
	if err != nil {
		return nil, nil, err
	}
	if f, err = parts.Open(ctx, groups[0]); err != nil {
		return nil, nil, err
	}
	var lenders []*lender
	for _, g := range groups[1:] {
		l, err := newLender(ctx, g)
		if err != nil {
			return nil, nil, errors.Join(err, f.Close(), closeAll(lenders))
		}
		lenders = append(lenders, l)
	}
	return f, lenders, nil
}

// groupByBundle sorts paths by the bundle that they have something of, in the order
// in which each is named first. What is nothing goes with the first.
func groupByBundle(ctx context.Context, paths []string) ([][]string, error) {
	groups := [][]string{nil}
	ids := []string{""}
	for _, path := range paths {
		id, err := bundleIn(ctx, path)
		if err != nil {
			return nil, err
		}
		at := slices.Index(ids, id)
		switch {
		case id == "":
			at = 0
		case ids[0] == "":
			at, ids[0] = 0, id
		case at < 0:
			at, ids, groups = len(ids), append(ids, id), append(groups, nil)
		}
		groups[at] = append(groups[at], path)
	}
	return groups, nil
}

// bundleIn returns the id of the set that a path has something of; empty where
// nothing tells.
func bundleIn(ctx context.Context, path string) (string, error) {
	f, err := parts.Open(ctx, []string{path})
	var none *parts.NoneError
	if errors.As(err, &none) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	if f.Set() != nil {
		return f.Set().ID, nil
	}
	r, err := layout.NewHeadReader(f, f.Size())
	if err != nil {
		return "", nil // to be explained when it is opened
	}
	sums, err := r.ReadFile(layout.SumsFile, checksum.MaxSize)
	if err != nil {
		return "", nil
	}
	return parts.SumsID(sums), nil
}

func newLender(ctx context.Context, paths []string) (*lender, error) {
	f, err := parts.Open(ctx, paths)
	if err != nil {
		return nil, err
	}
	r, err := layout.NewReader(f, f.Size())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", paths[0], ExplainRead(err)), f.Close())
	}
	return &lender{path: paths[0], file: f, reader: r}, nil
}

// needsLenders refuses other bundles beside one that takes nothing from them: it is
// not clear then which one is meant. Where that is plain, because one of them is a
// delta, the order that works is named.
func (b *Bundle) needsLenders(ctx context.Context, t *trust.Trust) error {
	if len(b.lenders) == 0 || len(b.absent) > 0 {
		return nil
	}
	own := b.Parts.Files()[0]
	paths := []string{own}
	for _, l := range b.lenders {
		paths = append(paths, l.path)
	}
	for _, l := range b.lenders {
		other, err := File(ctx, l.path, t)
		if err != nil {
			continue // it was named for what it has, not to be believed
		}
		isDelta := len(other.Required()) > 0
		if err := other.Close(); err != nil {
			return err
		}
		if isDelta {
			return &fault.UsageError{
				What:   fmt.Sprintf("%s is whole, and %s is a delta: a delta comes before the bundles that have the rest", own, l.path),
				Advice: "give the same command with " + l.path + " first",
			}
		}
	}
	slices.Sort(paths)
	return explainParts(&parts.SeveralError{Files: paths})
}
