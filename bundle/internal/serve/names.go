package serve

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/record"
)

// A ConflictError is one name that would stand for two contents.
type ConflictError struct {
	Name          string // repository:tag
	First, Second digest.Digest
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s would be two things: %s and %s", e.Name, e.First, e.Second)
}

// Fault says what to do instead.
func (e *ConflictError) Fault() (fault.Kind, string) {
	return fault.Usage, "serve the bundles one by one, or with --names host if the images come from different hosts"
}

// nowhere is the host of the registry that names are placed in.
const nowhere = "serve.invalid"

// A repository is what stands under one name.
type repository map[string]digest.Digest // tag → manifest

// names are all repositories by their paths.
type names struct {
	placed map[string]repository // as an import would place them
	hosts  map[string]repository // behind the source's host, with - for the colon of a port
}

// placeAll gives every image of the bundles its names.
func placeAll(bundles []*open.Bundle, naming place.Naming) (*names, error) {
	n := &names{make(map[string]repository), make(map[string]repository)}
	for _, b := range bundles {
		places, err := place.All(b, place.NewNames(b.Record, place.Registry{Host: nowhere}, naming), place.Options{})
		if err != nil {
			return nil, err
		}
		for _, p := range places {
			if err := add(n.placed, p.Target.Path, p.Target.Tag, p.Root.Digest); err != nil {
				return nil, err
			}
		}
		if err := n.addSources(b); err != nil {
			return nil, err
		}
	}
	// Both kinds may be asked for as paths: where they meet, they have to agree.
	for path, repo := range n.hosts {
		for tag, d := range repo {
			if old, ok := n.placed[path][tag]; ok && old != d {
				return nil, &ConflictError{path + ":" + tag, old, d}
			}
		}
	}
	return n, nil
}

// addSources adds the names that the images and what is attached to them had.
func (n *names) addSources(b *open.Bundle) error {
	for _, d := range b.Index.Manifests {
		if d.ArtifactType == record.Type {
			continue
		}
		ref, err := name.Parse(name.Of(d))
		if err != nil {
			return err
		}
		if ref.Host == name.LocalHost {
			continue
		}
		if err := add(n.hosts, Behind(ref.Host, ref.Path), ref.Tag, d.Digest); err != nil {
			return err
		}
	}
	return nil
}

// add notes one name; a tag may be empty.
func add(all map[string]repository, path, tag string, d digest.Digest) error {
	repo := all[path]
	if repo == nil {
		repo = make(repository)
		all[path] = repo
	}
	if tag == "" {
		return nil
	}
	if old, ok := repo[tag]; ok && old != d {
		return &ConflictError{path + ":" + tag, old, d}
	}
	repo[tag] = d
	return nil
}

// Behind is a path below a host, or the path of the host itself. Colons are not allowed
// in paths.
func Behind(host, path string) string {
	host = strings.ReplaceAll(host, ":", "-")
	if path == "" {
		return host
	}
	return host + "/" + path
}

// find returns the repository of a path. ns is the host whose mirror we are asked as,
// or empty: then nothing of another host is given.
func (n *names) find(path, ns string) (repository, bool) {
	if ns == "" {
		placed, ok := n.placed[path]
		source, ok2 := n.hosts[path]
		if ok && ok2 {
			placed = maps.Clone(placed)
			maps.Copy(placed, source)
			return placed, true
		}
		if ok2 {
			return source, true
		}
		return placed, ok
	}
	switch ns {
	case "registry-1.docker.io", "index.docker.io":
		ns = "docker.io"
	}
	if prefix := Behind(ns, "") + "/"; !strings.HasPrefix(path, prefix) {
		path = prefix + path
	}
	repo, ok := n.hosts[path]
	return repo, ok
}

// catalogue lists the repositories as an import would name them.
func (n *names) catalogue() []string { return slices.Sorted(maps.Keys(n.placed)) }

// A graph knows the manifests and what is attached to what.
type graph struct {
	manifests map[digest.Digest]ocispec.Descriptor
	attached  map[digest.Digest][]ocispec.Descriptor // by subject
	private   map[digest.Digest]bool                 // the record
}

func newGraph(bundles []*open.Bundle, isManifest func(mediaType string) bool) (*graph, error) {
	g := &graph{make(map[digest.Digest]ocispec.Descriptor), make(map[digest.Digest][]ocispec.Descriptor), make(map[digest.Digest]bool)}
	for _, b := range bundles {
		for _, d := range slices.Concat(b.Index.Manifests, b.Blobs) {
			if d.MediaType == record.Type || d.ArtifactType == record.Type {
				g.private[d.Digest] = true
			}
		}
		for _, d := range b.Blobs {
			if isManifest(d.MediaType) {
				g.manifests[d.Digest] = ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
			}
		}
		for _, r := range b.Record.Referrers {
			ref, err := name.Parse(r.Reference)
			if err != nil {
				return nil, err
			}
			d, known := g.manifests[r.Digest]
			same := func(o ocispec.Descriptor) bool { return o.Digest == d.Digest }
			if known && ref.Tag == "" && !slices.ContainsFunc(g.attached[r.Subject], same) {
				g.attached[r.Subject] = append(g.attached[r.Subject], d)
			}
		}
	}
	for d := range g.private {
		delete(g.manifests, d)
	}
	return g, nil
}
