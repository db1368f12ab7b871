package history

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
	"unique"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"bundle/bundle/internal/image"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/remote"
	"bundle/layout/strict"
)

// A Store is the documents of one target.
type Store struct {
	Client   *remote.Client
	Registry place.Registry
}

// atOnce is how many documents are read beside each other.
const atOnce = 6

// tags are time and bundle: in their order, the imports are in theirs.
var tags = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{1,64}$`)

const tagTime = "20060102T150405Z"

// Repository is where the documents lie.
func (s Store) Repository() string { return s.Registry.String() + "/" + Repository }

// Read reads what there is. A registry that has nothing gives an empty Past. A
// document that is damaged or of a newer version is listed as unread; a registry
// that does not answer is an error.
func (s Store) Read(ctx context.Context) (Past, error) {
	list, err := s.Client.Tags(ctx, s.Repository())
	var failed *remote.Error
	if errors.As(err, &failed) && failed.Kind == remote.NotFound {
		return Past{}, nil
	}
	if err != nil {
		return Past{}, remote.AboutOne("records of imports", err)
	}
	list = slices.DeleteFunc(list, func(tag string) bool { return !tags.MatchString(tag) })
	slices.SortFunc(list, func(a, b string) int { return cmp.Compare(b, a) })
	past := Past{More: len(list) > MaxImports}
	list = list[:min(len(list), MaxImports)]
	imports, unread := make([]*Import, len(list)), make([]error, len(list))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i, tag := range list {
		g.Go(func() error {
			doc, err := s.fetch(gctx, tag)
			var failed *remote.Error
			switch {
			case err == nil:
				imports[i], unread[i] = parse(doc)
			case errors.As(err, &failed) && failed.Kind != remote.NotFound:
				return fmt.Errorf("record of an import %s:%s: %w", s.Repository(), tag, err)
			default: // gone, in whole or in part, or not what its digest says
				unread[i] = cmp.Or(gctx.Err(), err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return Past{}, err
	}
	for i, im := range imports {
		if unread[i] != nil {
			past.Unread = append(past.Unread, Unread{list[i], unread[i]})
			continue
		}
		past.Imports = append(past.Imports, *im)
	}
	return past, nil
}

// fetch returns the document under a tag, or nothing where that is no document.
func (s Store) fetch(ctx context.Context, tag string) ([]byte, error) {
	_, raw, err := s.Client.Resolve(ctx, s.Repository()+":"+tag)
	if err != nil {
		return nil, err
	}
	var m ocispec.Manifest
	if json.Unmarshal(raw, &m) != nil || len(m.Layers) != 1 || m.Layers[0].Size > MaxSize {
		return nil, nil
	}
	return image.FetchBlob(ctx, s.Client, s.Repository(), m.Layers[0], MaxSize)
}

// rules are those of documents. Later programs may add keys that this one can do
// without; what it cannot do without gets a new version.
var rules = strict.Rules{Bytes: MaxSize, Depth: 8, Values: 1_000_000, AnyCase: true}

// parse reads a document.
func parse(doc []byte) (*Import, error) {
	var v struct {
		Version int `json:"importVersion"`
	}
	if err := rules.Decode(doc, &v); err != nil {
		return nil, err
	}
	if v.Version != Version {
		return nil, fmt.Errorf("version %d is not known: this program reads version %d", v.Version, Version)
	}
	im := new(Import)
	if err := json.Unmarshal(doc, im); err != nil {
		return nil, err
	}
	return im, im.check()
}

// check requires what others rely on.
func (im *Import) check() error {
	for _, n := range im.Names {
		if n.Name == "" || n.Digest.Validate() != nil || n.Replaced != "" && n.Replaced.Validate() != nil {
			return fmt.Errorf("name %q has no digest", record.Printable(n.Name))
		}
	}
	for _, c := range im.Repositories {
		for _, b := range slices.Concat(c.Manifests, c.Blobs) {
			if b.Digest.Validate() != nil || b.Size < 0 {
				return fmt.Errorf("blob %q of %q has no digest or size", record.Printable(string(b.Digest)), record.Printable(c.Repository))
			}
		}
	}
	im.texts(func(s *string) { *s = record.Printable(*s) })
	im.share()
	return nil
}

// share lets documents hold each digest once: most imports bring most of what the one
// before brought.
func (im *Import) share() {
	one := func(d *digest.Digest) { *d = unique.Make(*d).Value() }
	for i := range im.Names {
		one(&im.Names[i].Digest)
	}
	for _, c := range im.Repositories {
		for i := range c.Manifests {
			one(&c.Manifests[i].Digest)
		}
		for i := range c.Blobs {
			one(&c.Blobs[i].Digest)
		}
	}
}

// texts calls visit for all that is shown to people.
func (im *Import) texts(visit func(*string)) {
	visit(&im.Tool)
	visit(&im.Bundle.ID)
	visit((*string)(&im.Bundle.Sums))
	for i := range im.Signers {
		v := &im.Signers[i]
		for _, s := range []*string{&v.Fingerprint, &v.KeyType, &v.Principals, &v.Comment, &v.Authority, &v.KeyID, &v.Signature} {
			visit(s)
		}
	}
	for i := range im.Names {
		visit(&im.Names[i].Name)
		visit(&im.Names[i].Source)
	}
	for i := range im.Repositories {
		visit(&im.Repositories[i].Repository)
	}
}

// Add writes the document of an import. One that changed nothing since the same
// bundle's last import is not written again.
func (s Store) Add(ctx context.Context, past Past, im Import) error {
	im.Version = Version
	im.Finished = im.Finished.UTC().Truncate(time.Second)
	if past.has(im) {
		return nil
	}
	// Of two imports within one second, or on machines whose clocks differ, this is
	// the later one.
	for _, before := range past.Imports {
		if !im.Finished.After(before.Finished) {
			im.Finished = before.Finished.Add(time.Second)
		}
	}
	doc, err := json.MarshalIndent(im, "", "  ")
	if err != nil {
		return fmt.Errorf("record of the import: %w", err)
	}
	if err := rules.Check(doc); err != nil {
		return fmt.Errorf("record of the import: %w", err)
	}
	layer := ocispec.Descriptor{
		MediaType: Type, Digest: digest.FromBytes(doc), Size: int64(len(doc)),
		Annotations: map[string]string{ocispec.AnnotationTitle: "import.json"}, // oras pull writes a file of that name
	}
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: Type,
		Config:       ocispec.DescriptorEmptyJSON,
		Layers:       []ocispec.Descriptor{layer},
		Annotations:  map[string]string{ocispec.AnnotationCreated: im.Finished.Format(time.RFC3339)},
	})
	if err != nil {
		return fmt.Errorf("record of the import: %w", err)
	}
	for _, b := range []struct {
		desc ocispec.Descriptor
		data []byte
	}{{ocispec.DescriptorEmptyJSON, ocispec.DescriptorEmptyJSON.Data}, {layer, doc}} {
		b.desc.Data = nil
		open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.data)), nil }
		if _, err := s.Client.PushBlob(ctx, s.Repository(), b.desc, remote.BlobSource{Open: open}); err != nil {
			return fmt.Errorf("record of the import: %w", err)
		}
	}
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(manifest), Size: int64(len(manifest))}
	if err := s.Client.PushManifest(ctx, s.Repository(), im.tag(), desc, manifest); err != nil {
		return fmt.Errorf("record of the import: %w", err)
	}
	return nil
}

func (im Import) tag() string {
	return im.Finished.Format(tagTime) + "-" + strings.ToLower(im.Bundle.ID)
}

// has says whether a newest document of the same bundle tells all that im does.
func (p Past) has(im Import) bool {
	for _, n := range im.Names {
		last, put, known := p.Last(n.Name)
		if !known || n.Replaced != "" || put.Digest != n.Digest || last.Bundle.Sums != im.Bundle.Sums {
			return false
		}
	}
	return len(im.Names) > 0
}
