package transfer

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/open"
	"bundle/bundle/internal/plan"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/trust"
	"bundle/checksum"
	"bundle/layout"
)

// A leftover is what a run that was killed knew: everything but its layers. Nil
// is none. It only says what that run meant to write; what it wrote is verified
// when the layout writer goes on with it.
type leftover struct {
	created   time.Time
	sums, sig []byte
	record    *record.Record
}

// findLeftover reads the partial file beside an output, or the head of a set, if
// there is one that can be read. One that cannot is written anew.
func findLeftover(output, head string) *leftover {
	if head != "" {
		if r, file, err := layout.OpenHead(head); err == nil {
			defer file.Close()
			return readLeftover(r)
		}
		output = head
	}
	if Streams(output) {
		return nil
	}
	r, file, err := layout.OpenPartial(output)
	if err != nil {
		return nil
	}
	defer file.Close()
	return readLeftover(r)
}

func readLeftover(r *layout.Reader) *leftover {
	l := &leftover{created: r.ModTime()}
	var err error
	if l.sums, err = r.ReadFile(layout.SumsFile, open.MaxDocument); err != nil {
		return nil
	}
	if _, signed := r.Entry(layout.SignatureFile); signed {
		if l.sig, err = r.ReadFile(layout.SignatureFile, open.MaxDocument); err != nil {
			return nil
		}
	}
	if l.record, err = recordOf(r); err != nil {
		return nil
	}
	return l
}

// IDOf is the id of the bundle that a file begins; empty where it begins none that can
// be read.
func IDOf(path string) string {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return ""
	}
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	r, err := layout.NewHeadReader(file, info.Size())
	if err != nil {
		if r, err = layout.NewReader(file, info.Size()); err != nil { // a bundle, whole
			return ""
		}
	}
	rec, err := recordOf(r)
	if err != nil {
		return ""
	}
	return rec.ID
}

// recordOf finds the record of a bundle that nobody vouches for.
func recordOf(r *layout.Reader) (*record.Record, error) {
	raw, err := r.ReadFile(layout.IndexFile, open.MaxDocument)
	if err != nil {
		return nil, err
	}
	index, err := layout.ParseIndex(raw)
	if err != nil {
		return nil, err
	}
	for _, d := range index.Manifests {
		if d.ArtifactType != record.Type {
			continue
		}
		doc, err := r.ReadBlob(d.Digest, open.MaxDocument)
		if err != nil {
			return nil, err
		}
		var m ocispec.Manifest
		if err := json.Unmarshal(doc, &m); err != nil || len(m.Layers) != 1 {
			return nil, fmt.Errorf("bundle record: manifest %s has not one layer", d.Digest)
		}
		if doc, err = r.ReadBlob(m.Layers[0].Digest, open.MaxDocument); err != nil {
			return nil, err
		}
		return record.Parse(doc)
	}
	return nil, io.ErrUnexpectedEOF
}

// goOn is how long ago a run may have begun that is gone on with under its own
// date.
const goOn = 7 * 24 * time.Hour

// Begun is the time of creation where none was given: that of the run that this
// one goes on with, else now. A partial file of other content, or one that claims
// to be old or of the future, has no say in what is signed: who can write to the
// medium could have left it. head is where the head of a set stays; empty for a
// bundle in one file.
func Begun(output, head, id string) time.Time {
	now := time.Now().UTC().Truncate(time.Second)
	if l := findLeftover(output, head); l != nil && l.record.ID == id && !l.created.After(now) && now.Sub(l.created) < goOn {
		return l.created
	}
	return now
}

// signature signs the list of checksums. A signature that the run before made of
// the same list with the same key is used again: not every kind of key gives the
// same signature twice, and the file is to be the same.
func signature(s *trust.Signer, sums []byte, l *leftover) ([]byte, error) {
	if s == nil {
		return nil, nil
	}
	if l != nil && string(l.sums) == string(sums) {
		if who, err := checksum.Identify(sums, l.sig); err == nil && who.Fingerprint == s.Fingerprint() {
			return l.sig, nil
		}
	}
	return s.Sign(sums)
}

// A Change is a reference that means something else than when the run began that
// this one goes on with.
type Change struct {
	Reference string        `json:"reference"`
	Was       digest.Digest `json:"was"`
	Now       digest.Digest `json:"now"`
}

// changes lists the references that moved.
func (l *leftover) changes(p *plan.Plan) []Change {
	if l == nil || !sameReferences(l.record.Images, p.Record.Images) {
		return nil // another bundle
	}
	was := make(map[string]digest.Digest)
	for _, im := range l.record.Images {
		was[im.Reference] = im.Digest
	}
	var all []Change
	for _, im := range p.Record.Images {
		if old, ok := was[im.Reference]; ok && old != im.Digest {
			all = append(all, Change{im.Reference, old, im.Digest})
		}
	}
	return all
}

// sameReferences reports whether two lists, each in order, have the same images,
// whatever is behind their names by now.
func sameReferences(a, b []record.Image) bool {
	return slices.EqualFunc(a, b, func(x, y record.Image) bool { return x.Reference == y.Reference })
}
