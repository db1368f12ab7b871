package history

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unique"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"bundle/bundle/internal/image"
	"bundle/bundle/internal/lazy"
	"bundle/bundle/internal/name"
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
var tags = lazy.Regexp(`^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{1,64}$`)

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
	list = slices.DeleteFunc(list, func(tag string) bool { return !tags().MatchString(tag) })
	slices.SortFunc(list, func(a, b string) int { return cmp.Compare(b, a) })
	past := Past{More: len(list) > MaxImports}
	list = list[:min(len(list), MaxImports)]
	layers, err := s.layers(ctx, list)
	if err != nil {
		return Past{}, err
	}
	room := maxBytes
	for i, l := range layers {
		if room -= l.size; room < 0 {
			list, past.More = list[:i], true
			break
		}
	}
	imports, unread := make([]*Import, len(list)), make([]error, len(list))
	err = s.each(ctx, list, func(ctx context.Context, i int, tag string) (err error) {
		if layers[i].err == nil {
			imports[i], layers[i].err = s.fetch(ctx, layers[i].layer)
		}
		unread[i], err = s.bear(tag, layers[i].err)
		return err
	})
	if err != nil {
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

// each does something for all tags, several at once.
func (s Store) each(ctx context.Context, tags []string, do func(context.Context, int, string) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i, tag := range tags {
		g.Go(func() error { return cmp.Or(do(ctx, i, tag), ctx.Err()) })
	}
	return g.Wait()
}

// bear takes a document that is gone, in whole or in part, or damaged, for one that is
// not read. A registry that does not answer is an error.
func (s Store) bear(tag string, err error) (unread, failed error) {
	var answer *remote.Error
	if errors.As(err, &answer) && answer.Kind != remote.NotFound {
		return nil, fmt.Errorf("record of an import %s:%s: %w", s.Repository(), tag, err)
	}
	return err, nil
}

// A found is the layer that a document is.
type found struct {
	layer ocispec.Descriptor
	size  int64
	err   error // there is none to be read
}

// layers finds the documents under tags, and what they weigh.
func (s Store) layers(ctx context.Context, tags []string) ([]found, error) {
	all := make([]found, len(tags))
	err := s.each(ctx, tags, func(ctx context.Context, i int, tag string) error {
		_, raw, err := s.Client.Resolve(ctx, s.Repository()+":"+tag)
		if err != nil {
			all[i].err = err
			_, failed := s.bear(tag, err)
			return failed
		}
		var m ocispec.Manifest
		if json.Unmarshal(raw, &m) != nil || len(m.Layers) != 1 || m.Layers[0].Size > maxSize || m.Layers[0].Size < 0 {
			all[i].err = errNone
			return nil
		}
		d := m.Layers[0]
		all[i] = found{layer: ocispec.Descriptor{Digest: d.Digest, Size: d.Size}, size: d.Size}
		return nil
	})
	return all, err
}

var errNone = errors.New("this is no record of an import")

// fetch reads a document.
func (s Store) fetch(ctx context.Context, d ocispec.Descriptor) (*Import, error) {
	doc, err := image.FetchBlob(ctx, s.Client, s.Repository(), d, maxSize)
	if err != nil {
		return nil, err
	}
	return parse(doc)
}

// rules are those of documents. Later programs may add keys that this one can do
// without; what it cannot do without gets a new version.
var rules = strict.Rules{Bytes: maxSize, Depth: 8, Values: 1_000_000, AnyCase: true}

const (
	// lastYear is that of the last import there can be: a later time could not be
	// written in the next one.
	lastYear  = 9998
	somewhere = "registry.invalid/" // below which names in documents stand
)

// parse reads a document.
func parse(doc []byte) (*Import, error) {
	var v struct {
		Version int `json:"importVersion"`
	}
	if err := rules.Decode(doc, &v); err != nil {
		return nil, err
	}
	if v.Version != version {
		return nil, fmt.Errorf("version %d is not known: this program reads version %d", v.Version, version)
	}
	im := new(Import)
	if err := json.Unmarshal(doc, im); err != nil {
		return nil, err
	}
	return im, im.check()
}

// check requires what others rely on: names of which the registry can be asked, and
// times after which there can be others.
func (im *Import) check() error {
	if im.Finished.Year() > lastYear || im.Bundle.Created.Year() > lastYear {
		return errors.New("it is of a time that is none")
	}
	for _, n := range im.Names {
		if n.Digest.Validate() != nil || n.Replaced != "" && n.Replaced.Validate() != nil {
			return fmt.Errorf("name %q has no digest", record.Printable(n.Name))
		}
		if ref, err := name.Parse(somewhere + n.Name); err != nil || somewhere+n.Name != ref.String() {
			return fmt.Errorf("name %q is none", record.Printable(n.Name))
		}
	}
	for _, c := range im.Repositories {
		if ref, err := name.Parse(somewhere + c.Repository); err != nil || somewhere+c.Repository != ref.Repository() {
			return fmt.Errorf("repository %q is none", record.Printable(c.Repository))
		}
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
	im.Version = version
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
		MediaType: artifactType, Digest: digest.FromBytes(doc), Size: int64(len(doc)),
		Annotations: map[string]string{ocispec.AnnotationTitle: "import.json"}, // oras pull writes a file of that name
	}
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: artifactType,
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
		last, put, known := p.last(n.Name)
		if !known || n.Replaced != "" || put.Digest != n.Digest || last.Bundle.Sums != im.Bundle.Sums {
			return false
		}
	}
	return len(im.Names) > 0
}
