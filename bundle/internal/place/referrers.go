package place

import (
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/name"
	"bundle/bundle/internal/open"
)

// addReferrers places referrers in every repository that has their subject.
func (p *placements) addReferrers(b *open.Bundle, roots map[string]ocispec.Descriptor) error {
	repos := make(map[digest.Digest][]string)
	for _, pl := range p.all() {
		manifests, _, err := b.BlobsOf(pl.Root)
		if err != nil {
			return err
		}
		for _, m := range manifests {
			if repo := pl.Target.Repository(); !slices.Contains(repos[m.Digest], repo) {
				repos[m.Digest] = append(repos[m.Digest], repo)
			}
		}
	}
	// A referrer of a referrer stands after it in no particular order: go on
	// until nothing new finds a place.
	placed := make(map[string]int)
	for changed := true; changed; {
		changed = false
		for _, r := range b.Record.Referrers {
			ref, err := name.Parse(r.Reference)
			if err != nil {
				return err
			}
			for ; placed[r.Reference] < len(repos[r.Subject]); placed[r.Reference]++ {
				repo := repos[r.Subject][placed[r.Reference]]
				name := repo + "@" + r.Digest.String()
				p.listed = r.Subject
				if ref.Tag != "" {
					name, p.listed = repo+":"+ref.Tag, ""
				}
				if err := p.addAt(name, r.Reference, roots[r.Reference]); err != nil {
					return err
				}
				if !slices.Contains(repos[r.Digest], repo) {
					repos[r.Digest] = append(repos[r.Digest], repo)
				}
				changed = true
			}
		}
	}
	return nil
}
