package image

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

// subset reduces root to the wanted platforms and returns the new root; its
// bytes, where they changed, are added to t. A platform that is not there is
// an error that lists those that are. Artifacts without any platform are left
// as they are. Children that are lost are dropped. Of t, only indexes are read.
func (t Tree) subset(root ocispec.Descriptor, want []Platform, lost ...digest.Digest) (ocispec.Descriptor, error) {
	have := t.Platforms(root)
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
	r := reducer{t, want, lost, make(map[digest.Digest]reduction)}
	reduced, _, err := r.reduce(root)
	return reduced, err
}

// A reducer rewrites indexes, each once however many name it.
type reducer struct {
	Tree
	want []Platform
	lost []digest.Digest
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
	if err := json.Unmarshal(t.Tree[d.Digest], &fields); err != nil {
		return d, false, fmt.Errorf("index %s: %w", d.Digest, err)
	}
	if err := json.Unmarshal(t.Tree[d.Digest], &list); err != nil {
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
	t.Tree[d.Digest] = b
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
		case slices.Contains(t.lost, m.Digest):
		case isAttestation(m):
			attestations = append(attestations, raw)
		case layout.IsIndex(m.MediaType) && mayHold(m, t.want):
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
		case ok && !layout.IsIndex(m.MediaType) && slices.ContainsFunc(t.want, func(w Platform) bool { return w.matches(p) }):
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
