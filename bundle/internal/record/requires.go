package record

import (
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"bundle/bundle/internal/name"
)

// Requires are the layers that a delta leaves out, since the other side has them:
// layout/SPEC.md, "Deltas".
type Requires struct {
	Bases  []Base  `json:"bases"`
	Layers []Layer `json:"layers"`
}

// A Base is what says that the other side has something.
type Base struct {
	ID      string    `json:"id"`   // of the bundle, of that which a receipt is about, or of the inventory
	Kind    BaseKind  `json:"kind"` //
	Created time.Time `json:"created"`
}

// A BaseKind is what a base is.
type BaseKind string

// The kinds of bases.
const (
	BaseBundle    BaseKind = "bundle"
	BaseReceipt   BaseKind = "receipt"
	BaseInventory BaseKind = "inventory"
)

// String is the base as people read it.
func (b Base) String() string {
	return fmt.Sprintf("%s %s of %s", b.Kind, b.ID, b.Created.Format(time.RFC3339))
}

// A Layer is one that has to be at the target, or in another bundle.
type Layer struct {
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`
	Base   string        `json:"base"` // id of the first base that has it
	// Repositories are those that it stood in, of the source, HOST/PATH, or of a
	// target; with the host bundle.invalid, a path below the target that the user
	// chose. A base that tells no names gives none.
	Repositories []string `json:"repositories,omitempty"`
}

// maxRequired bounds the layers of a delta: as many as a bundle has entries.
const maxRequired = 200_000

// MaxRepositories bounds the repositories of a layer: a base of an operating system
// stands in thousands, and one is enough to find it.
const MaxRepositories = 8

// Bytes is the size of all layers that are left out.
func (r *Requires) Bytes() (n int64) {
	if r == nil {
		return 0
	}
	for _, l := range r.Layers {
		n += l.Size
	}
	return n
}

// Of counts the layers that are required of a base, and their bytes.
func (r *Requires) Of(id string) (layers int, bytes int64) {
	for _, l := range r.Layers {
		if l.Base == id {
			layers++
			bytes += l.Size
		}
	}
	return layers, bytes
}

// Base returns the base of an id.
func (r *Requires) Base(id string) Base {
	for _, b := range r.Bases {
		if b.ID == id {
			return b
		}
	}
	return Base{ID: id}
}

// Check requires that each layer is named once, with a base that there is.
func (r *Requires) Check() error {
	if len(r.Layers) == 0 || len(r.Layers) > maxRequired {
		return fmt.Errorf("it requires %d layers", len(r.Layers))
	}
	bases := make(map[string]bool)
	for _, b := range r.Bases {
		switch {
		case b.ID == "" || bases[b.ID]:
			return fmt.Errorf("base %q is none, or there twice", b.ID)
		case b.Kind != BaseBundle && b.Kind != BaseReceipt && b.Kind != BaseInventory:
			return fmt.Errorf("base %s is of kind %q", b.ID, b.Kind)
		}
		bases[b.ID] = true
	}
	seen := make(map[digest.Digest]bool)
	for _, l := range r.Layers {
		switch {
		case seen[l.Digest]:
			return fmt.Errorf("it requires %s twice", l.Digest)
		case !bases[l.Base]:
			return fmt.Errorf("it requires %s of base %q, which it does not name", l.Digest, l.Base)
		}
		seen[l.Digest] = true
		if err := l.Check(); err != nil {
			return fmt.Errorf("required layer: %w", err)
		}
	}
	return nil
}

// Check requires that a layer has a digest, a size and repositories that can be.
func (l Layer) Check() error {
	switch {
	case l.Digest.Validate() != nil || l.Digest.Algorithm() != digest.SHA256:
		return fmt.Errorf("%q is no SHA-256 digest", l.Digest)
	case l.Size < 0:
		return fmt.Errorf("%s has %d bytes", l.Digest, l.Size)
	case len(l.Repositories) > MaxRepositories:
		return fmt.Errorf("%s stands in %d repositories, more than %d", l.Digest, len(l.Repositories), MaxRepositories)
	}
	for _, repo := range l.Repositories {
		if err := checkRepository(repo); err != nil {
			return fmt.Errorf("%s: %w", l.Digest, err)
		}
	}
	return nil
}

// checkRepository requires HOST/PATH.
func checkRepository(repo string) error {
	ref, err := name.Parse(repo)
	if err != nil {
		return err
	}
	if ref.Repository() != repo {
		return errors.New(repo + " is no repository")
	}
	return nil
}

func (r *Requires) texts(visit func(*string)) {
	if r == nil {
		return
	}
	for i := range r.Bases {
		visit(&r.Bases[i].ID)
		visit((*string)(&r.Bases[i].Kind))
	}
	for i := range r.Layers {
		l := &r.Layers[i]
		visit((*string)(&l.Digest))
		visit(&l.Base)
		for j := range l.Repositories {
			visit(&l.Repositories[j])
		}
	}
}
