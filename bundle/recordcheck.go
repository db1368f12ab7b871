package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/layout"
)

// Limits on the JSON of a record. Its own parts nest a few levels deep; the
// user's values are as deep as a chart makes them. The number of values bounds
// the memory that decoding takes.
const (
	maxRecordDepth  = 100
	maxRecordValues = 1_000_000
)

// checkJSON refuses what two parsers could read in two ways, and what would
// take more memory than a record may: a key twice in one object, in whatever
// case, depth and number of values beyond the limits.
func checkJSON(b []byte) error {
	if !json.Valid(b) {
		// Unmarshal says where.
		if err := json.Unmarshal(b, new(json.RawMessage)); err != nil {
			return err
		}
		return errors.New("not JSON")
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var stack []*jsonScope
	for n := 0; ; n++ {
		t, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if n > maxRecordValues {
			return fmt.Errorf("more than %d JSON values", maxRecordValues)
		}
		if stack, err = nextToken(stack, t); err != nil {
			return err
		}
	}
}

// jsonScope is an object or an array that is being read.
type jsonScope struct {
	keys   map[string]bool // nil: an array
	key    string          // the one whose value comes next; empty: a key comes next
	values bool            // within the values of a chart, where case makes a difference
}

func nextToken(stack []*jsonScope, t json.Token) ([]*jsonScope, error) {
	var top *jsonScope
	if len(stack) > 0 {
		top = stack[len(stack)-1]
	}
	delim, _ := t.(json.Delim)
	if delim == '}' || delim == ']' {
		return stack[:len(stack)-1], nil
	}
	if top != nil && top.keys != nil && top.key == "" {
		return stack, top.addKey(t)
	}
	inner := &jsonScope{values: top != nil && (top.values || top.key == "=values")}
	if top != nil {
		top.key = ""
	}
	if delim == 0 {
		return stack, nil
	}
	if len(stack) == maxRecordDepth {
		return nil, fmt.Errorf("JSON deeper than %d levels", maxRecordDepth)
	}
	if delim == '{' {
		inner.keys = make(map[string]bool)
	}
	return append(stack, inner), nil
}

// addKey takes the next key of an object. An equals sign before it keeps the
// empty key apart from none.
func (s *jsonScope) addKey(t json.Token) error {
	name, _ := t.(string)
	s.key = "=" + name
	same := name
	if !s.values {
		same = strings.ToLower(name)
	}
	if s.keys[same] {
		return fmt.Errorf("JSON key %q twice in one object", name)
	}
	s.keys[same] = true
	return nil
}

// decodeRecord decodes what checkJSON passed. A field that is not known would
// have a meaning that this program does not heed.
func decodeRecord(b []byte) (*Record, error) {
	r := new(Record)
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(r); err != nil {
		return nil, err
	}
	var bad error
	r.texts(func(s *string) {
		if printable(*s) != *s && bad == nil {
			bad = fmt.Errorf("%q has a character that cannot be printed", *s)
		}
	})
	return r, bad
}

// texts calls visit for every text of the record that is shown to people.
func (r *Record) texts(visit func(*string)) {
	finding := func(f *Finding) {
		for _, s := range []*string{&f.Raw, &f.Chart, &f.Template, &f.Kind, &f.Path, &f.Confidence} {
			visit(s)
		}
		for i := range f.Keys {
			visit(&f.Keys[i])
		}
	}
	visit(&r.Tool)
	visit(&r.ID)
	for i := range r.Charts {
		c := &r.Charts[i]
		for _, s := range []*string{&c.Name, &c.Version, &c.AppVersion, &c.Source, &c.Reference, &c.Release, &c.Namespace, &c.KubeVersion} {
			visit(s)
		}
		for _, list := range [][]string{c.APIVersions, c.Set, c.LeftOut} {
			for j := range list {
				visit(&list[j])
			}
		}
	}
	for _, list := range [][]ImageRecord{r.Images, r.Referrers} {
		for i := range list {
			im := &list[i]
			for _, s := range []*string{&im.Reference, &im.MediaType, &im.Destination, (*string)(&im.Digest), (*string)(&im.SourceDigest), (*string)(&im.Subject)} {
				visit(s)
			}
			for j := range im.Platforms {
				visit(&im.Platforms[j])
			}
			for j := range im.Found {
				finding(&im.Found[j])
			}
		}
	}
	for i := range r.Unresolved {
		finding(&r.Unresolved[i])
	}
}

// printable replaces what could deceive a terminal or a log.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, s)
}

func printables(list []string) []string {
	clean := slices.Clone(list)
	for i := range clean {
		clean[i] = printable(clean[i])
	}
	return clean
}

// checkImages requires that what the record says of its images is so: their
// kind and size, the names that charts know them by, and which digests a
// choice of platforms changed.
func (b *Bundle) checkImages() error {
	c := &imageCheck{
		bundle: b, roots: make(map[string]ocispec.Descriptor), sizes: make(map[digest.Digest]int64),
		effort: 2*cost(b.all) + sharing,
	}
	inside := make(map[digest.Digest]bool)
	for _, d := range b.index.Manifests {
		c.roots[d.Annotations[ocispec.AnnotationRefName]] = d
		inside[d.Digest] = true
	}
	if err := c.referrers(); err != nil {
		return err
	}
	moved := make(map[digest.Digest]digest.Digest)
	for _, im := range b.Record.Images {
		if im.Subject != "" {
			return fmt.Errorf("%s: an image, but attached to another", im.Reference)
		}
		if err := c.image(im); err != nil {
			return fmt.Errorf("%s: %w", im.Reference, err)
		}
		if im.SourceDigest == "" {
			continue
		}
		if now, ok := moved[im.SourceDigest]; inside[im.SourceDigest] || ok && now != im.Digest {
			return fmt.Errorf("%s: source digest %s stands for something else too", im.Reference, im.SourceDigest)
		}
		moved[im.SourceDigest] = im.Digest
	}
	return nil
}

// An imageCheck compares what a record says of images with what there is.
type imageCheck struct {
	bundle *Bundle
	roots  map[string]ocispec.Descriptor // index.json, by name
	sizes  map[digest.Digest]int64       // of whole images; many names may stand for one
	effort int64                         // what reading the images' manifests may still take, see cost
}

// sharing is how much manifests may be read again because several images name
// them, in the measure of cost. Without a limit the work would grow with the
// square of a bundle.
const sharing = 16 << 20

// cost is about what it takes to read manifests, in bytes.
func cost(all []ocispec.Descriptor) (n int64) {
	for _, d := range all {
		if layout.IsManifest(d.MediaType) {
			n += 2048 + d.Size
		}
	}
	return n
}

// size is the number of bytes of everything that root needs.
func (c *imageCheck) size(root ocispec.Descriptor) (int64, error) {
	if n, known := c.sizes[root.Digest]; known {
		return n, nil
	}
	manifests, blobs, err := c.bundle.blobsOf(root)
	if err != nil {
		return 0, err
	}
	if c.effort -= cost(manifests); c.effort < 0 {
		return 0, errors.New("it shares more manifests with other images than can be read in reasonable time")
	}
	var n int64
	for _, d := range append(manifests, blobs...) {
		n += d.Size
	}
	c.sizes[root.Digest] = n
	return n, nil
}

func (c *imageCheck) image(im ImageRecord) error {
	root := c.roots[im.Reference]
	size, err := c.size(root)
	if err != nil {
		return err
	}
	switch {
	case im.MediaType != root.MediaType:
		return fmt.Errorf("it says media type %q; index.json says %s", im.MediaType, root.MediaType)
	case im.Size != size:
		return fmt.Errorf("it says %d bytes; there are %d", im.Size, size)
	case im.SourceDigest == "":
	case im.SourceDigest.Validate() != nil || im.SourceDigest.Algorithm() != digest.SHA256:
		return fmt.Errorf("source digest %q is none", im.SourceDigest)
	case im.SourceDigest == im.Digest || !layout.IsIndex(root.MediaType):
		return fmt.Errorf("source digest %s, but no choice of platforms changed it", im.SourceDigest)
	}
	for _, f := range im.Found {
		if err := im.checkFound(f); err != nil {
			return err
		}
	}
	if err := c.platforms(im, root); err != nil {
		return err
	}
	return im.checkDestination()
}

// platforms requires that the record says for which platforms an image is.
func (c *imageCheck) platforms(im ImageRecord, root ocispec.Descriptor) error {
	t := make(tree)
	if err := c.bundle.readPlatforms(t, root); err != nil {
		return err
	}
	var there []string
	for _, p := range t.platforms(root) {
		there = append(there, p.String())
	}
	if !slices.Equal(there, im.Platforms) {
		return fmt.Errorf("it says it is for %q; it is for %q", im.Platforms, there)
	}
	return nil
}

// readPlatforms reads what tells the platforms of an image: its indexes, or else
// its config.
func (b *Bundle) readPlatforms(t tree, d ocispec.Descriptor) error {
	if t[d.Digest] != nil {
		return nil
	}
	doc, err := b.docs.fetch(d)
	if err != nil {
		return err
	}
	t[d.Digest] = doc
	children, err := layout.Children(d.MediaType, doc)
	if err != nil {
		return err
	}
	for _, child := range children {
		switch {
		case layout.IsIndex(child.MediaType):
			err = b.readPlatforms(t, child)
		case isImageConfig(child) && child.Size <= maxConfig:
			t[child.Digest], err = b.readWhole(layout.BlobName(child.Digest), maxConfig)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// referrers is the same for what is attached to images.
func (c *imageCheck) referrers() error {
	subjects := make(map[digest.Digest]bool)
	for _, d := range c.bundle.all {
		subjects[d.Digest] = layout.IsManifest(d.MediaType)
	}
	for _, r := range c.bundle.Record.Referrers {
		err := c.image(r)
		if err == nil {
			err = r.checkReferrer(subjects[r.Subject])
		}
		if err != nil {
			return fmt.Errorf("%s: %w", r.Reference, err)
		}
	}
	return nil
}

// checkReferrer requires that what a referrer is attached to is inside, and
// that it has no name but by digest or by what it is attached to: under any
// other, it would be pushed as something else.
func (r ImageRecord) checkReferrer(inside bool) error {
	ref, err := ParseReference(r.Reference)
	if err != nil {
		return err
	}
	tags := []string{""}
	for _, end := range cosignTags {
		tags = append(tags, strings.Replace(r.Subject.String(), ":", "-", 1)+end)
	}
	switch {
	case !inside:
		return fmt.Errorf("attached to %q, which is not in the bundle", r.Subject)
	case !slices.Contains(tags, ref.Tag):
		return fmt.Errorf("attached to %s, but the tag says something else", r.Subject)
	case r.Destination != "" || r.SourceDigest != "" || len(r.Found) > 0:
		return errors.New("attached to an image, and an image of its own")
	}
	return nil
}

// checkFound requires that a reference in a chart is one of this image: it
// decides under which name the image is pushed.
func (im ImageRecord) checkFound(f Finding) error {
	ref, err := ParseReference(f.Raw)
	if err != nil {
		return err
	}
	if ref.Digest != "" && (ref.Digest == im.SourceDigest || im.SourceDigest == "") {
		if im.SourceDigest == "" && ref.Digest != im.Digest {
			return fmt.Errorf("found as %q, which pins another digest than %s", f.Raw, im.Digest)
		}
		ref.Digest = im.Digest
	}
	if ref.String() != im.Reference {
		return fmt.Errorf("found as %q, which is another image", f.Raw)
	}
	return nil
}

// checkDestination requires a path and tag below the target registry.
func (im ImageRecord) checkDestination() error {
	if im.Destination == "" {
		return nil
	}
	ref, err := ParseReference(localHost + "/" + im.Destination)
	if err != nil || ref.String() != localHost+"/"+im.Destination {
		return fmt.Errorf("destination %q is no path and tag", im.Destination)
	}
	return nil
}
