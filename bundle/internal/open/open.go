// Package open opens a bundle that exists: signature, set of entries, graph of
// descriptors and record are checked before anything in it is believed
// (layout/SPEC.md, "Reading").
//
// The contract: nothing is parsed that the signature does not vouch for, but the
// headers of the archive; layers are checked while they are read; what
// contradicts itself is a *fault.DamagedError, a medium that cannot be read is
// not.
//
//	b, err := open.File(ctx, "app.bundle.tar", t)
//	if err != nil { … }
//	defer b.Close()
package open

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/trust"
	"bundle/checksum"
	"bundle/layout"
	"bundle/layout/parts"
)

// BlobsOf lists what root needs: manifests, each after those it names, and
// other blobs.
func (b *Bundle) BlobsOf(root ocispec.Descriptor) (manifests, blobs []ocispec.Descriptor, err error) {
	all, err := layout.Reachable([]ocispec.Descriptor{root}, b.Document)
	if err != nil {
		return nil, nil, err
	}
	for _, d := range all {
		if layout.IsManifest(d.MediaType) {
			manifests = append(manifests, d)
		} else {
			blobs = append(blobs, d)
		}
	}
	return manifests, blobs, nil
}

// MaxDocument bounds each document that is read into memory whole, in bytes.
const MaxDocument = record.MaxSize

// A Bundle is an open bundle whose signature, checksum list, set of entries
// and graph of descriptors have been checked. Its layers are checked as they
// are read.
type Bundle struct {
	Record *record.Record
	trust.Vouched

	Parts    *parts.File // what it lies in; nil for a Reader that is none
	Reader   *layout.Reader
	Size     int64
	Sums     []byte    // content of SHA256SUMS
	Verified time.Time // when its signatures were checked
	Index    ocispec.Index
	heads    map[string]digest.Digest // of the entries that are not blobs
	Blobs    []ocispec.Descriptor     // everything reachable, each once
	absent   []ocispec.Descriptor     // those of them that are not inside: the record of a delta lists them
	beyond   map[digest.Digest]bool   // of a head alone: blobs that are listed, and lie behind it; else nil
	extra    error                    // what is inside, and nothing leads to
	lenders  []*lender                // other bundles that may have those
}

// File checks the bundle at path in the order of layout/SPEC.md, "Reading":
// nothing is parsed that the signature does not vouch for, but the tar headers.
// path and more are files, folders and mount points that have it, or parts of it.
// Where the begin is damaged on one of several media, that of another is read.
func File(ctx context.Context, path string, trust *trust.Trust, more ...string) (*Bundle, error) {
	f, lenders, err := openAll(ctx, append([]string{path}, more...))
	if err != nil {
		return nil, explainParts(err)
	}
	beside, err := trust.Beside(f.Beside()...)
	if err != nil {
		return nil, errors.Join(err, f.Close(), closeAll(lenders))
	}
	b, err := Reader(ctx, f, f.Size(), trust, beside...)
	for err != nil && ctx.Err() == nil && f.NextHead() {
		if other, oerr := Reader(ctx, f, f.Size(), trust, beside...); oerr == nil {
			b, err = other, nil
		}
	}
	if err == nil {
		err = f.HeadFound(ctx)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", path, explainParts(err))
		if other := notBundle(path, f, f.Size()); other != nil && fault.KindOf(err) == fault.Damaged {
			err = other
		}
		return nil, errors.Join(err, f.Close(), closeAll(lenders))
	}
	b.Parts, b.lenders = f, lenders
	if err := b.refuseStrangers(); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	if err := b.needsLenders(ctx, trust); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// Close closes the files.
func (b *Bundle) Close() error { return errors.Join(b.Parts.Close(), closeAll(b.lenders)) }

// Reader opens the bundle of size bytes in r. beside are the signatures that
// were found outside of it.
func Reader(ctx context.Context, r io.ReaderAt, size int64, trust *trust.Trust, beside ...checksum.Candidate) (*Bundle, error) {
	lr, err := layout.NewReader(r, size)
	if err != nil {
		return nil, ExplainRead(err)
	}
	b := &Bundle{Reader: lr, Size: size}
	if err := b.check(ctx, trust, beside...); err != nil {
		return nil, ExplainRead(err)
	}
	return b, trust.CheckAge(b.Record, b.Verified)
}

// check does all that has to be done before anything inside is believed.
func (b *Bundle) check(ctx context.Context, trust *trust.Trust, beside ...checksum.Candidate) (err error) {
	if b.Sums, err = b.Reader.ReadFile(layout.SumsFile, checksum.MaxSize); err != nil {
		return err
	}
	inside, err := b.Signature()
	if err != nil {
		return err
	}
	b.Verified = time.Now().UTC().Truncate(time.Second)
	if b.Vouched, err = trust.Check(b.Sums, append(inside, beside...), b.Verified); err != nil {
		return err
	}
	walk := func() error { return b.walk(ctx) }
	for _, step := range []func() error{ctx.Err, b.matchEntries, b.readHead, walk, b.readRecord, b.matchRequired} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// Signature reads the one inside, if there is one.
func (b *Bundle) Signature() ([]checksum.Candidate, error) {
	if _, ok := b.Reader.Entry(layout.SignatureFile); !ok {
		return nil, nil
	}
	sig, err := b.Reader.ReadFile(layout.SignatureFile, checksum.MaxSignatureSize)
	if err != nil {
		return nil, err
	}
	return []checksum.Candidate{{Name: layout.SignatureFile, Armored: sig}}, nil
}

// matchEntries requires that the list of checksums and the set of entries are
// the same, and that each blob is listed under its own digest.
func (b *Bundle) matchEntries() error {
	b.heads = make(map[string]digest.Digest)
	listed := 0
	err := checksum.Walk(b.Sums, func(s checksum.Sum) error {
		listed++
		return b.matchSum(s)
	})
	var format *checksum.FormatError
	if errors.As(err, &format) {
		return fault.Damage(layout.SumsFile, err)
	}
	if err != nil {
		return err
	}
	return b.matchAll(listed)
}

// matchSum looks at one line of the list.
func (b *Bundle) matchSum(s checksum.Sum) error {
	d := digest.NewDigestFromBytes(digest.SHA256, s.Digest[:])
	_, inside := b.Reader.Entry(s.Name)
	switch {
	case s.Name == layout.SumsFile || s.Name == layout.SignatureFile:
		return fault.Damage(s.Name, errors.New("listed in SHA256SUMS, which cannot hold its own checksum"))
	case !inside && b.beyond != nil && s.Name == layout.BlobName(d):
		b.beyond[d] = true
	case !inside:
		return fault.Damage(s.Name, errors.New("listed in SHA256SUMS, but not in the bundle"))
	case s.Name == layout.LayoutFile || s.Name == layout.IndexFile:
		b.heads[s.Name] = d
	case s.Name != layout.BlobName(d):
		return fault.Damage(s.Name, fmt.Errorf("listed in SHA256SUMS with digest %s", d))
	}
	return nil
}

// matchAll requires that no entry is without a line. Names stand once in the
// list and once in the bundle, so counting is enough to know, and the list is
// read again only to say which.
func (b *Bundle) matchAll(listed int) error {
	want := b.Reader.Len() - 1 + len(b.beyond)
	if _, signed := b.Reader.Entry(layout.SignatureFile); signed {
		want--
	}
	if listed == want {
		return nil
	}
	missing := make(map[string]bool)
	for e := range b.Reader.All() {
		missing[e.Name] = e.Name != layout.SumsFile && e.Name != layout.SignatureFile
	}
	maps.DeleteFunc(missing, func(_ string, wanted bool) bool { return !wanted })
	err := checksum.Walk(b.Sums, func(s checksum.Sum) error {
		delete(missing, s.Name)
		return nil
	})
	if err != nil {
		return err
	}
	return fault.Damage(slices.Sorted(maps.Keys(missing))[0], errors.New("in the bundle, but not listed in SHA256SUMS"))
}

// digest is what the list says of an entry. It has no line for itself and its
// signature.
func (b *Bundle) digest(name string) (d digest.Digest, listed bool) {
	if d, listed = layout.BlobDigest(name); listed {
		return d, true
	}
	d, listed = b.heads[name]
	return d, listed
}

// Document reads a manifest or an index. It is read from the file each time, so
// that memory does not grow with their number.
func (b *Bundle) Document(d ocispec.Descriptor) ([]byte, error) {
	return b.readWhole(layout.BlobName(d.Digest), layout.MaxManifestSize)
}

// OpenBlob opens a blob of any size. Its last bytes come only if all of them have
// the digest; else the read fails with a damaged bundle's error.
func (b *Bundle) OpenBlob(d digest.Digest) (io.ReadCloser, error) {
	if l := b.lender(d); l != nil {
		return l.reader.OpenBlob(d)
	}
	return b.Reader.OpenBlob(d)
}

// Small reads a blob of at most MaxSmall bytes.
func (b *Bundle) Small(d ocispec.Descriptor) ([]byte, error) {
	return b.readWhole(layout.BlobName(d.Digest), MaxSmall)
}

func (b *Bundle) readHead() error {
	head, err := b.readWhole(layout.LayoutFile, int64(len(layout.LayoutContent())))
	if err != nil {
		return err
	}
	if err := layout.ParseLayout(head); err != nil {
		return fault.Damage(layout.LayoutFile, err)
	}
	index, err := b.readWhole(layout.IndexFile, layout.MaxIndexSize)
	if err != nil {
		return err
	}
	if b.Index, err = layout.ParseIndex(index); err != nil {
		return fault.Damage(layout.IndexFile, err)
	}
	return nil
}

// readWhole reads an entry of at most max bytes and checks it against
// SHA256SUMS.
func (b *Bundle) readWhole(name string, max int64) ([]byte, error) {
	e, ok := b.Reader.Entry(name)
	if !ok {
		return nil, fault.Damage(name, errors.New("missing"))
	}
	if e.Size > max {
		return nil, fault.Damage(name, fmt.Errorf("%d bytes, more than the %d allowed for such a document", e.Size, max))
	}
	want, _ := b.digest(name)
	rc, err := b.Reader.OpenFile(name, want)
	if err != nil {
		return nil, ExplainRead(err)
	}
	defer rc.Close()
	// Room for all of it, and for the read that finds the end.
	content := bytes.NewBuffer(make([]byte, 0, e.Size+bytes.MinRead))
	if _, err := content.ReadFrom(rc); err != nil {
		return nil, ExplainRead(asDamaged(name, err))
	}
	return content.Bytes(), nil
}

// walk reads every manifest and requires that what they name, and nothing
// else, is inside, but for what a delta leaves out.
func (b *Bundle) walk(ctx context.Context) error {
	all, err := layout.Reachable(b.Index.Manifests, func(d ocispec.Descriptor) ([]byte, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return b.Document(d)
	})
	if err != nil {
		return asDamaged(layout.IndexFile, err)
	}
	b.Blobs = all
	reached := make(map[digest.Digest]bool, len(all))
	for _, d := range all {
		name := layout.BlobName(d.Digest)
		reached[d.Digest] = true
		e, ok := b.Reader.Entry(name)
		if !ok {
			b.absent = append(b.absent, d)
			continue
		}
		if e.Size != d.Size {
			return fault.Damage(name, fmt.Errorf("%d bytes, but its descriptor says %d", e.Size, d.Size))
		}
	}
	for e := range b.Reader.All() {
		if d, blob := layout.BlobDigest(e.Name); blob && !reached[d] {
			b.extra = fault.Damage(e.Name, errors.New("nothing in index.json leads to this blob"))
			break
		}
	}
	if len(b.absent) > 0 {
		return nil // what lacks says more, once the record says which may
	}
	return b.extra
}

// readRecord finds the one bundle record and requires that it and index.json
// tell the same story.
func (b *Bundle) readRecord() error {
	var found []ocispec.Descriptor
	names := make(map[string]digest.Digest)
	for _, d := range b.Index.Manifests {
		if d.ArtifactType == record.Type {
			found = append(found, d)
			continue
		}
		full := d.Annotations[ocispec.AnnotationRefName]
		ref, err := name.Parse(full)
		if err != nil || ref.String() != full || ref.Digest != "" && ref.Digest != d.Digest {
			return fault.Damage(layout.IndexFile, fmt.Errorf("%q does not name what it stands for in full", full))
		}
		names[full] = d.Digest
	}
	if len(found) != 1 {
		return fault.Damage(layout.IndexFile, fmt.Errorf("%d bundle records, want one", len(found)))
	}
	manifest, err := b.Document(found[0])
	if err != nil {
		return err
	}
	children, err := layout.Children(found[0].MediaType, manifest)
	if err != nil {
		return fault.Damage("bundle record", err)
	}
	if len(children) != 2 || children[1].MediaType != record.Type {
		return fault.Damage("bundle record", errors.New("its manifest does not hold one layer of type "+record.Type))
	}
	doc, err := b.readWhole(layout.BlobName(children[1].Digest), MaxDocument)
	if err != nil {
		return err
	}
	rec, err := record.Parse(doc)
	if err != nil {
		return asDamaged("bundle record", err)
	}
	b.Record = rec
	if full := name.Of(found[0]); full != record.EntryName(rec) {
		return fault.Damage("bundle record", fmt.Errorf("index.json calls it %q, not %s", full, record.EntryName(rec)))
	}
	if !rec.Created.Equal(b.Reader.ModTime()) {
		return fault.Damage("bundle record", fmt.Errorf("created %s, but its entries are of %s", rec.Created, b.Reader.ModTime()))
	}
	if err := rec.Agrees(names); err != nil {
		return fault.Damage("bundle record", err)
	}
	if err := b.checkImages(); err != nil {
		return asDamaged("bundle record", err)
	}
	return nil
}

// ExplainRead says beside an error of the file itself what to do about it.
func ExplainRead(err error) error {
	var format *layout.FormatError
	if errors.As(err, &format) {
		return fault.WithHint(err, fault.HintDamaged)
	}
	var unread *layout.ReadError
	if errors.As(err, &unread) {
		return fault.WithHint(err, "the medium cannot be read there: try another port or drive, or have the bundle carried again")
	}
	return err
}

// asDamaged blames the bundle for err, unless err says better what is to blame:
// a medium that cannot be read is no damage.
func asDamaged(subject string, err error) error {
	var (
		version *record.VersionError
		damaged *fault.DamagedError
		unread  *layout.ReadError
	)
	if errors.As(err, &version) || errors.As(err, &damaged) || errors.As(err, &unread) {
		return err
	}
	return fault.Damage(subject, err)
}
