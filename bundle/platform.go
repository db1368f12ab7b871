package bundle

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/layout"
)

// annotationSubject names, on an attestation child of an index, the sibling it
// speaks about (BuildKit's attestation storage).
const annotationSubject = "vnd.docker.reference.digest"

// A Platform is os/arch or os/arch/variant, as --platform takes it.
type Platform struct{ OS, Architecture, Variant string }

// ParsePlatform reads os/arch[/variant].
func ParsePlatform(s string) (Platform, error) {
	parts := strings.Split(s, "/")
	if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") {
		return Platform{}, &UsageError{
			What:   fmt.Sprintf("platform %q: want os/arch or os/arch/variant", s),
			Advice: "for example --platform linux/amd64 --platform linux/arm/v7",
		}
	}
	p := Platform{OS: parts[0], Architecture: parts[1]}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	return p, nil
}

func (p Platform) String() string {
	if p.Variant == "" {
		return p.OS + "/" + p.Architecture
	}
	return p.OS + "/" + p.Architecture + "/" + p.Variant
}

// matches says whether an image for q serves a request for p: a request
// without a variant takes all of them, and arm64 is arm64/v8.
func (p Platform) matches(q Platform) bool {
	if p.OS != q.OS || p.Architecture != q.Architecture {
		return false
	}
	return p.Variant == "" || p.Variant == q.Variant ||
		p.Architecture == "arm64" && p.Variant == "v8" && q.Variant == ""
}

func platformOf(p *ocispec.Platform) (Platform, bool) {
	if p == nil || p.OS == "" || p.OS == "unknown" {
		return Platform{}, false
	}
	return Platform{p.OS, p.Architecture, p.Variant}, true
}

// A tree is one image's manifests and indexes by digest, with the small
// configs that had to be read to learn a platform.
type tree map[digest.Digest][]byte

// platforms lists what root offers, in the order of its index.
func (t tree) platforms(root ocispec.Descriptor) []Platform {
	if !layout.IsIndex(root.MediaType) {
		p, ok := t.configPlatform(root)
		if !ok {
			return nil
		}
		return []Platform{p}
	}
	return t.indexPlatforms(root.Digest, make(map[digest.Digest]bool))
}

// indexPlatforms looks at each index once: those that share what they name
// would multiply with every level.
func (t tree) indexPlatforms(index digest.Digest, seen map[digest.Digest]bool) []Platform {
	var ix ocispec.Index
	if seen[index] || json.Unmarshal(t[index], &ix) != nil {
		return nil
	}
	seen[index] = true
	var all []Platform
	for _, m := range ix.Manifests {
		if layout.IsIndex(m.MediaType) {
			all = append(all, t.indexPlatforms(m.Digest, seen)...)
		} else if p, ok := platformOf(m.Platform); ok {
			all = append(all, p)
		}
	}
	return all
}

// configPlatform reads the platform of a single manifest from its config.
func (t tree) configPlatform(d ocispec.Descriptor) (Platform, bool) {
	var m ocispec.Manifest
	if json.Unmarshal(t[d.Digest], &m) != nil {
		return Platform{}, false
	}
	var p ocispec.Platform
	if json.Unmarshal(t[m.Config.Digest], &p) != nil {
		return Platform{}, false
	}
	return platformOf(&p)
}

// subset reduces root to the wanted platforms and returns the new root; its
// bytes, where they changed, are added to t. A platform that is not there is
// an error that lists those that are. Artifacts without any platform are left
// as they are.
func (t tree) subset(root ocispec.Descriptor, want []Platform) (ocispec.Descriptor, error) {
	have := t.platforms(root)
	if len(want) == 0 || len(have) == 0 {
		return root, nil
	}
	for _, w := range want {
		if !slices.ContainsFunc(have, w.matches) {
			return root, fmt.Errorf("platform %s is not offered: it has %s", w, joinStrings(have))
		}
	}
	if !layout.IsIndex(root.MediaType) {
		return root, nil
	}
	r := reducer{t, want, make(map[digest.Digest]reduction)}
	reduced, _, err := r.reduce(root)
	return reduced, err
}

// A reducer rewrites indexes, each once however many name it.
type reducer struct {
	tree
	want []Platform
	done map[digest.Digest]reduction
}

type reduction struct {
	digest digest.Digest
	size   int64
	kept   bool
}

// reduce rewrites one index and, below it, nested ones. kept is false when
// nothing of d is wanted.
func (t reducer) reduce(d ocispec.Descriptor) (reduced ocispec.Descriptor, kept bool, err error) {
	r, known := t.done[d.Digest]
	if !known {
		if reduced, kept, err = t.rewrite(d); err != nil {
			return d, false, err
		}
		r = reduction{reduced.Digest, reduced.Size, kept}
		t.done[d.Digest] = r
	}
	d.Digest, d.Size = r.digest, r.size
	return d, r.kept, nil
}

func (t reducer) rewrite(d ocispec.Descriptor) (reduced ocispec.Descriptor, kept bool, err error) {
	var fields map[string]json.RawMessage
	var list struct{ Manifests []json.RawMessage }
	if err := json.Unmarshal(t.tree[d.Digest], &fields); err != nil {
		return d, false, fmt.Errorf("index %s: %w", d.Digest, err)
	}
	if err := json.Unmarshal(t.tree[d.Digest], &list); err != nil {
		return d, false, fmt.Errorf("index %s: %w", d.Digest, err)
	}
	children, err := t.keepChildren(list.Manifests)
	if err != nil || len(children) == 0 {
		return d, false, err
	}
	if sameMessages(children, list.Manifests) {
		return d, true, nil
	}
	if fields["manifests"], err = json.Marshal(children); err != nil {
		return d, false, fmt.Errorf("index %s: %w", d.Digest, err)
	}
	b, err := json.Marshal(fields)
	if err != nil {
		return d, false, fmt.Errorf("index %s: %w", d.Digest, err)
	}
	d.Digest, d.Size = digest.FromBytes(b), int64(len(b))
	t.tree[d.Digest] = b
	return d, true, nil
}

// keepChildren returns the wanted descriptors, as the index wrote them where
// they did not change.
func (t reducer) keepChildren(all []json.RawMessage) ([]json.RawMessage, error) {
	var kept []json.RawMessage
	present := make(map[string]bool) // digests of kept siblings
	var attestations []json.RawMessage
	for _, raw := range all {
		var m ocispec.Descriptor
		if err := json.Unmarshal(raw, &m); err != nil {
			return nil, fmt.Errorf("index entry: %w", err)
		}
		switch p, ok := platformOf(m.Platform); {
		case !ok && m.Annotations[annotationSubject] != "":
			attestations = append(attestations, raw)
		case layout.IsIndex(m.MediaType):
			reduced, keep, err := t.reduce(m)
			if err != nil {
				return nil, err
			}
			if !keep {
				continue
			}
			if reduced.Digest != m.Digest {
				if raw, err = json.Marshal(reduced); err != nil {
					return nil, fmt.Errorf("index entry: %w", err)
				}
			}
			kept = append(kept, raw)
		case ok && slices.ContainsFunc(t.want, func(w Platform) bool { return w.matches(p) }):
			kept = append(kept, raw)
			present[m.Digest.String()] = true
		}
	}
	for _, raw := range attestations {
		var m ocispec.Descriptor
		if err := json.Unmarshal(raw, &m); err != nil {
			return nil, fmt.Errorf("index entry: %w", err)
		}
		if present[m.Annotations[annotationSubject]] {
			kept = append(kept, raw)
		}
	}
	return kept, nil
}

func sameMessages(a, b []json.RawMessage) bool {
	return slices.EqualFunc(a, b, func(x, y json.RawMessage) bool { return string(x) == string(y) })
}

func joinStrings[T fmt.Stringer](list []T) string {
	s := make([]string, len(list))
	for i, x := range list {
		s[i] = x.String()
	}
	return strings.Join(s, ", ")
}
