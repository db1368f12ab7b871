package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/checksum"
	"bundle/layout"
)

// maxDocument bounds the bundle record, and each document that is read into
// memory whole, in bytes.
const maxDocument = 16 << 20

// A Bundle is an open bundle whose signature, checksum list, set of entries
// and graph of descriptors have been checked. Its layers are checked as they
// are read.
type Bundle struct {
	Record *Record
	Vouched

	file     io.Closer
	reader   *layout.Reader
	size     int64
	list     []byte    // content of SHA256SUMS
	verified time.Time // when its signatures were checked
	index    ocispec.Index
	heads    map[string]digest.Digest // of the entries that are not blobs
	docs     documents
	all      []ocispec.Descriptor // everything reachable, each once
}

// Open checks the bundle at path in the order of layout/SPEC.md, "Reading":
// nothing is parsed that the signature does not vouch for, but the tar headers.
func Open(path string, trust *Trust) (*Bundle, error) {
	f, size, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	beside, err := trust.beside(path)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	b, err := read(f, size, trust, beside...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	b.file = f
	return b, nil
}

// openRegular opens a file that can be read in any order. What it is has to be
// asked before: opening a pipe waits for who writes to it.
func openRegular(path string) (*os.File, int64, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, 0, err
	}
	if !st.Mode().IsRegular() {
		return nil, 0, &UsageError{What: path + " is not a regular file"}
	}
	f, err := os.Open(path)
	return f, st.Size(), err
}

// Close closes the file.
func (b *Bundle) Close() error { return b.file.Close() }

// read opens the bundle of size bytes in r. beside are the signatures that
// were found outside of it.
func read(r io.ReaderAt, size int64, trust *Trust, beside ...checksum.Candidate) (*Bundle, error) {
	lr, err := layout.NewReader(r, size)
	if err != nil {
		return nil, err
	}
	b := &Bundle{reader: lr, size: size}
	b.docs = documents{b}
	if b.list, err = lr.ReadFile(layout.SumsFile, checksum.MaxSize); err != nil {
		return nil, err
	}
	inside, err := b.signature()
	if err != nil {
		return nil, err
	}
	b.verified = time.Now().UTC().Truncate(time.Second)
	if b.Vouched, err = trust.check(b.list, append(inside, beside...), b.verified); err != nil {
		return nil, err
	}
	for _, step := range []func() error{b.matchEntries, b.readHead, b.walk, b.readRecord} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return b, trust.checkAge(b.Record)
}

// signature reads the one inside, if there is one.
func (b *Bundle) signature() ([]checksum.Candidate, error) {
	if _, ok := b.reader.Entry(layout.SignatureFile); !ok {
		return nil, nil
	}
	sig, err := b.reader.ReadFile(layout.SignatureFile, checksum.MaxSignatureSize)
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
	err := checksum.Walk(b.list, func(s checksum.Sum) error {
		listed++
		return b.matchSum(s)
	})
	var format *checksum.FormatError
	if errors.As(err, &format) {
		return &DamagedError{layout.SumsFile, err}
	}
	if err != nil {
		return err
	}
	return b.matchAll(listed)
}

// matchSum looks at one line of the list.
func (b *Bundle) matchSum(s checksum.Sum) error {
	d := digest.NewDigestFromBytes(digest.SHA256, s.Digest[:])
	_, inside := b.reader.Entry(s.Name)
	switch {
	case s.Name == layout.SumsFile || s.Name == layout.SignatureFile:
		return &DamagedError{s.Name, errors.New("listed in SHA256SUMS, which cannot hold its own checksum")}
	case !inside:
		return &DamagedError{s.Name, errors.New("listed in SHA256SUMS, but not in the bundle")}
	case s.Name == layout.LayoutFile || s.Name == layout.IndexFile:
		b.heads[s.Name] = d
	case s.Name != layout.BlobName(d):
		return &DamagedError{s.Name, fmt.Errorf("listed in SHA256SUMS with digest %s", d)}
	}
	return nil
}

// matchAll requires that no entry is without a line. Names stand once in the
// list and once in the bundle, so counting is enough to know, and the list is
// read again only to say which.
func (b *Bundle) matchAll(listed int) error {
	want := b.reader.Len() - 1
	if _, signed := b.reader.Entry(layout.SignatureFile); signed {
		want--
	}
	if listed == want {
		return nil
	}
	missing := make(map[string]bool)
	for e := range b.reader.All() {
		missing[e.Name] = e.Name != layout.SumsFile && e.Name != layout.SignatureFile
	}
	maps.DeleteFunc(missing, func(_ string, wanted bool) bool { return !wanted })
	err := checksum.Walk(b.list, func(s checksum.Sum) error {
		delete(missing, s.Name)
		return nil
	})
	if err != nil {
		return err
	}
	return &DamagedError{sortedKeys(missing)[0], errors.New("in the bundle, but not listed in SHA256SUMS")}
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

// documents are the manifests and indexes of a bundle, read from it each time,
// so that memory does not grow with their number.
type documents struct{ bundle *Bundle }

func (d documents) fetch(m ocispec.Descriptor) ([]byte, error) {
	return d.bundle.readWhole(layout.BlobName(m.Digest), layout.MaxManifestSize)
}

// readBlob reads a small blob.
func (b *Bundle) readBlob(d ocispec.Descriptor) ([]byte, error) {
	return b.readWhole(layout.BlobName(d.Digest), maxChart)
}

func (b *Bundle) readHead() error {
	head, err := b.readWhole(layout.LayoutFile, int64(len(layout.LayoutContent())))
	if err != nil {
		return err
	}
	if err := layout.ParseLayout(head); err != nil {
		return &DamagedError{layout.LayoutFile, err}
	}
	index, err := b.readWhole(layout.IndexFile, layout.MaxIndexSize)
	if err != nil {
		return err
	}
	if b.index, err = layout.ParseIndex(index); err != nil {
		return &DamagedError{layout.IndexFile, err}
	}
	return nil
}

// readWhole reads an entry of at most max bytes and checks it against
// SHA256SUMS.
func (b *Bundle) readWhole(name string, max int64) ([]byte, error) {
	e, ok := b.reader.Entry(name)
	if !ok {
		return nil, &DamagedError{name, errors.New("missing")}
	}
	if e.Size > max {
		return nil, &DamagedError{name, fmt.Errorf("%d bytes, more than the %d allowed for such a document", e.Size, max)}
	}
	want, _ := b.digest(name)
	rc, err := b.reader.OpenFile(name, want)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	// Room for all of it, and for the read that finds the end.
	content := bytes.NewBuffer(make([]byte, 0, e.Size+bytes.MinRead))
	if _, err := content.ReadFrom(rc); err != nil {
		return nil, asDamaged(name, err)
	}
	return content.Bytes(), nil
}

// walk reads every manifest and requires that what they name, and nothing
// else, is inside.
func (b *Bundle) walk() error {
	all, err := layout.Reachable(b.index.Manifests, b.docs.fetch)
	if err != nil {
		return asDamaged(layout.IndexFile, err)
	}
	b.all = all
	reached := make(map[digest.Digest]bool, len(all))
	for _, d := range all {
		name := layout.BlobName(d.Digest)
		reached[d.Digest] = true
		e, ok := b.reader.Entry(name)
		if !ok {
			return &DamagedError{name, fmt.Errorf("named by a manifest as %s, but not in the bundle", d.MediaType)}
		}
		if e.Size != d.Size {
			return &DamagedError{name, fmt.Errorf("%d bytes, but its descriptor says %d", e.Size, d.Size)}
		}
	}
	for e := range b.reader.All() {
		if d, blob := layout.BlobDigest(e.Name); blob && !reached[d] {
			return &DamagedError{e.Name, errors.New("nothing in index.json leads to this blob")}
		}
	}
	return nil
}

// readRecord finds the one bundle record and requires that it and index.json
// tell the same story.
func (b *Bundle) readRecord() error {
	var found []ocispec.Descriptor
	names := make(map[string]digest.Digest)
	for _, d := range b.index.Manifests {
		if d.ArtifactType == RecordType {
			found = append(found, d)
			continue
		}
		name := d.Annotations[ocispec.AnnotationRefName]
		ref, err := ParseReference(name)
		if err != nil || ref.String() != name || ref.Digest != "" && ref.Digest != d.Digest {
			return &DamagedError{layout.IndexFile, fmt.Errorf("%q does not name what it stands for in full", name)}
		}
		names[name] = d.Digest
	}
	if len(found) != 1 {
		return &DamagedError{layout.IndexFile, fmt.Errorf("%d bundle records, want one", len(found))}
	}
	manifest, err := b.docs.fetch(found[0])
	if err != nil {
		return err
	}
	children, err := layout.Children(found[0].MediaType, manifest)
	if err != nil {
		return &DamagedError{"bundle record", err}
	}
	if len(children) != 2 || children[1].MediaType != RecordType {
		return &DamagedError{"bundle record", errors.New("its manifest does not hold one layer of type " + RecordType)}
	}
	doc, err := b.readWhole(layout.BlobName(children[1].Digest), maxDocument)
	if err != nil {
		return err
	}
	rec, err := ParseRecord(doc)
	if err != nil {
		return asDamaged("bundle record", err)
	}
	b.Record = rec
	if name := nameOf(found[0]); name != recordName(rec) {
		return &DamagedError{"bundle record", fmt.Errorf("index.json calls it %q, not %s", name, recordName(rec))}
	}
	if !rec.Created.Equal(b.reader.ModTime()) {
		return &DamagedError{"bundle record", fmt.Errorf("created %s, but its entries are of %s", rec.Created, b.reader.ModTime())}
	}
	if err := rec.agrees(names); err != nil {
		return &DamagedError{"bundle record", err}
	}
	if err := b.checkImages(); err != nil {
		return asDamaged("bundle record", err)
	}
	return nil
}

// asDamaged blames the bundle for err, unless err says better what is to blame:
// a medium that cannot be read is no damage.
func asDamaged(subject string, err error) error {
	var (
		version *VersionError
		damaged *DamagedError
		unread  *layout.ReadError
	)
	if errors.As(err, &version) || errors.As(err, &damaged) || errors.As(err, &unread) {
		return err
	}
	return &DamagedError{subject, err}
}

// agrees requires that the record names what index.json names, under the same
// digests.
func (r *Record) agrees(names map[string]digest.Digest) error {
	if len(r.Charts) > maxCharts {
		return fmt.Errorf("it lists %d charts, more than the %d allowed", len(r.Charts), maxCharts)
	}
	claimed := make(map[string]bool)
	claim := func(name string, d digest.Digest) error {
		if got, ok := names[name]; !ok || got != d {
			return fmt.Errorf("it says %s is %q; index.json says %q", name, d, got)
		}
		claimed[name] = true
		return nil
	}
	for _, im := range slices.Concat(r.Images, r.Referrers) {
		if claimed[im.Reference] {
			return fmt.Errorf("it names %s twice", im.Reference)
		}
		if err := claim(im.Reference, im.Digest); err != nil {
			return err
		}
	}
	for _, c := range r.Charts {
		if err := checkRelease(c.Release, c.Namespace); err != nil {
			return err
		}
		if err := c.checkName(); err != nil {
			return err
		}
		if !kubeVersion.MatchString(c.KubeVersion) {
			return fmt.Errorf("kubeVersion %q of chart %s is none", c.KubeVersion, c.label())
		}
		if err := claim(c.Reference, c.Digest); err != nil {
			return err
		}
	}
	for _, name := range sortedKeys(names) {
		if !claimed[name] {
			return fmt.Errorf("it does not say what %s in index.json is", name)
		}
	}
	return nil
}
