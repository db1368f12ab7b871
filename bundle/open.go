package bundle

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/checksum"
	"bundle/layout"
)

// maxDocument bounds each manifest, index, checksum list and record that is
// read into memory.
const maxDocument = 16 << 20

// A Bundle is an open bundle whose signature, checksum list, set of entries
// and graph of descriptors have been checked. Its layers are checked as they
// are read.
type Bundle struct {
	Record *Record
	Signer *checksum.Signer // who signed it; nil when that was not checked

	file   io.Closer
	reader *layout.Reader
	size   int64
	index  ocispec.Index
	sums   map[string]digest.Digest // entry name → digest
	docs   tree                     // manifests, indexes and the record, verified
	all    []ocispec.Descriptor     // everything reachable, each once
}

// Open checks the bundle at path in the order of layout/SPEC.md, "Reading":
// nothing is parsed that the signature does not vouch for, but the tar headers.
func Open(path string, trust *Trust) (*Bundle, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = &UsageError{What: path + " is not a regular file"}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	b, err := read(f, st.Size(), trust)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	b.file = f
	return b, nil
}

// Close closes the file.
func (b *Bundle) Close() error { return b.file.Close() }

func read(r io.ReaderAt, size int64, trust *Trust) (*Bundle, error) {
	lr, err := layout.NewReader(r, size)
	if err != nil {
		return nil, err
	}
	b := &Bundle{reader: lr, size: size, docs: make(tree)}
	sums, err := lr.ReadFile(layout.SumsFile, maxDocument)
	if err != nil {
		return nil, err
	}
	if b.Signer, err = trust.check(lr, sums, time.Now()); err != nil {
		return nil, err
	}
	for _, step := range []func() error{
		func() error { return b.matchEntries(sums) },
		b.readHead,
		b.walk,
		b.readRecord,
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// check verifies the signature over sums.
func (t *Trust) check(r *layout.Reader, sums []byte, now time.Time) (*checksum.Signer, error) {
	if t.skip {
		return nil, nil
	}
	var sig []byte
	if _, ok := r.Entry(layout.SignatureFile); ok {
		var err error
		if sig, err = r.ReadFile(layout.SignatureFile, maxDocument); err != nil {
			return nil, err
		}
	}
	s, err := t.keys.Verify(sums, sig, now)
	if err != nil {
		return nil, err
	}
	return &s, nil
}

// matchEntries requires that the list of checksums and the set of entries are
// the same, and that each blob is listed under its own digest.
func (b *Bundle) matchEntries(list []byte) error {
	sums, err := checksum.Parse(list)
	if err != nil {
		return &DamagedError{layout.SumsFile, err}
	}
	b.sums = make(map[string]digest.Digest, len(sums))
	for _, s := range sums {
		d := digest.NewDigestFromBytes(digest.SHA256, s.Digest[:])
		if _, ok := b.reader.Entry(s.Name); !ok {
			return &DamagedError{s.Name, errors.New("listed in SHA256SUMS, but not in the bundle")}
		}
		b.sums[s.Name] = d
	}
	for _, e := range b.reader.Entries() {
		d, ok := b.sums[e.Name]
		switch {
		case e.Name == layout.SumsFile || e.Name == layout.SignatureFile:
			if ok {
				return &DamagedError{e.Name, errors.New("listed in SHA256SUMS, which cannot hold its own checksum")}
			}
		case !ok:
			return &DamagedError{e.Name, errors.New("in the bundle, but not listed in SHA256SUMS")}
		case e.Name != layout.LayoutFile && e.Name != layout.IndexFile && e.Name != layout.BlobName(d):
			return &DamagedError{e.Name, fmt.Errorf("listed in SHA256SUMS with digest %s", d)}
		}
	}
	return nil
}

// readBlob reads a small blob.
func (b *Bundle) readBlob(d ocispec.Descriptor) ([]byte, error) {
	return b.readWhole(layout.BlobName(d.Digest))
}

func (b *Bundle) readHead() error {
	head, err := b.readWhole(layout.LayoutFile)
	if err != nil {
		return err
	}
	if err := layout.ParseLayout(head); err != nil {
		return &DamagedError{layout.LayoutFile, err}
	}
	index, err := b.readWhole(layout.IndexFile)
	if err != nil {
		return err
	}
	if b.index, err = layout.ParseIndex(index); err != nil {
		return &DamagedError{layout.IndexFile, err}
	}
	return nil
}

// readWhole reads a small entry and checks it against SHA256SUMS.
func (b *Bundle) readWhole(name string) ([]byte, error) {
	e, ok := b.reader.Entry(name)
	if !ok {
		return nil, &DamagedError{name, errors.New("missing")}
	}
	if e.Size > maxChart {
		return nil, &DamagedError{name, fmt.Errorf("%d bytes, more than the %d allowed for such a document", e.Size, int64(maxChart))}
	}
	rc, err := b.reader.OpenFile(name, b.sums[name])
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	content, err := io.ReadAll(rc)
	if err != nil {
		return nil, &DamagedError{name, err}
	}
	return content, nil
}

// walk reads every manifest and requires that what they name, and nothing
// else, is inside.
func (b *Bundle) walk() error {
	all, err := layout.Reachable(b.index.Manifests, func(d ocispec.Descriptor) ([]byte, error) {
		doc, err := b.readWhole(layout.BlobName(d.Digest))
		if err == nil {
			b.docs[d.Digest] = doc
		}
		return doc, err
	})
	if err != nil {
		var damaged *DamagedError
		if errors.As(err, &damaged) {
			return err
		}
		return &DamagedError{layout.IndexFile, err}
	}
	b.all = all
	reached := make(map[string]bool, len(all))
	for _, d := range all {
		name := layout.BlobName(d.Digest)
		reached[name] = true
		e, ok := b.reader.Entry(name)
		if !ok {
			return &DamagedError{name, fmt.Errorf("named by a manifest as %s, but not in the bundle", d.MediaType)}
		}
		if e.Size != d.Size {
			return &DamagedError{name, fmt.Errorf("%d bytes, but its descriptor says %d", e.Size, d.Size)}
		}
	}
	for name := range b.sums {
		if name != layout.LayoutFile && name != layout.IndexFile && !reached[name] {
			return &DamagedError{name, errors.New("nothing in index.json leads to this blob")}
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
		names[d.Annotations[ocispec.AnnotationRefName]] = d.Digest
	}
	if len(found) != 1 {
		return &DamagedError{layout.IndexFile, fmt.Errorf("%d bundle records, want one", len(found))}
	}
	children, err := layout.Children(found[0].MediaType, b.docs[found[0].Digest])
	if err != nil {
		return &DamagedError{"bundle record", err}
	}
	if len(children) != 2 || children[1].MediaType != RecordType {
		return &DamagedError{"bundle record", errors.New("its manifest does not hold one layer of type " + RecordType)}
	}
	doc, err := b.readWhole(layout.BlobName(children[1].Digest))
	if err != nil {
		return err
	}
	rec, err := ParseRecord(doc)
	if err != nil {
		return asDamaged("bundle record", err)
	}
	b.Record = rec
	if err := rec.agrees(names); err != nil {
		return &DamagedError{"bundle record", err}
	}
	return nil
}

func asDamaged(subject string, err error) error {
	var v *VersionError
	if errors.As(err, &v) {
		return err
	}
	return &DamagedError{subject, err}
}

// agrees requires that the record names what index.json names, under the same
// digests.
func (r *Record) agrees(names map[string]digest.Digest) error {
	claimed := make(map[string]bool)
	claim := func(name string, d digest.Digest) error {
		if names[name] != d {
			return fmt.Errorf("it says %s is %s; index.json says %q", name, d, names[name])
		}
		claimed[name] = true
		return nil
	}
	for _, im := range r.Images {
		if err := claim(im.Reference, im.Digest); err != nil {
			return err
		}
	}
	for _, c := range r.Charts {
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
