package emit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"bundle/bundle/internal/disk"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/input"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/push"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/trust"
	"bundle/bundle/internal/words"
	"bundle/checksum"
	"bundle/layout/strict"
)

// ReceiptOptions say where an import writes what it did, for the audit file.
type ReceiptOptions struct {
	Path   string        // empty: nowhere
	Signer *trust.Signer // signs it into Path.sig, in a namespace of its own; nil: nobody does
	Tool   string        // name and version of the calling program
}

// A Receipt says what was verified, on whose word, and what was pushed where.
type Receipt struct {
	Version  int       `json:"schemaVersion"` // of the words, those of the JSON of commands
	Tool     string    `json:"tool"`
	Verified time.Time `json:"verified"` // when signatures were checked, UTC
	Finished time.Time `json:"finished"` // when all was pushed and written, UTC
	trust.Vouched
	Bundle   ReceiptBundle  `json:"bundle"`
	Registry string         `json:"registry"`
	Images   []ReceiptImage `json:"images"`
	Charts   []ReceiptChart `json:"charts"`
	Layers   []ReceiptLayer `json:"layers"`   // of what arrived: an export with this receipt as its base leaves them out
	Complete bool           `json:"complete"` // false: references are left that point outside, or that nobody can pull
}

// A ReceiptBundle says which bundle it was.
type ReceiptBundle struct {
	Path    string        `json:"path"`
	Size    int64         `json:"size"`
	ID      string        `json:"id"`
	Created time.Time     `json:"created"`
	Serial  int64         `json:"serial,omitempty"`
	Expires time.Time     `json:"expires,omitzero"`
	Tool    string        `json:"tool"`
	Sums    digest.Digest `json:"sums"` // of SHA256SUMS, and so of everything
}

// A ReceiptLayer is a layer that the target has.
type ReceiptLayer struct {
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`
	// Repositories are some of those that it stands in at its source, HOST/PATH; with
	// the host bundle.invalid, a path below the target that the user chose.
	Repositories []string `json:"repositories"`
}

// A ReceiptImage is one name in the target registry.
type ReceiptImage struct {
	Source   string        `json:"reference"`
	Target   string        `json:"target"`
	Digest   digest.Digest `json:"digest"`
	State    words.State   `json:"state"`              // pushed, present, replaced, refused
	Replaces digest.Digest `json:"previous,omitempty"` // what the name stood for before, where it was replaced
	Reason   string        `json:"reason,omitempty"`   // why it was refused
	Size     int64         `json:"size"`               // bytes of all its blobs, manifests included; 0: not known

	Platforms []string `json:"platforms"` // os/arch[/variant]
}

// A ReceiptChart is a chart and the values files that were written for it.
type ReceiptChart struct {
	Name    string        `json:"name"`
	Version string        `json:"version"`
	Target  string        `json:"target"`
	Digest  digest.Digest `json:"digest,omitempty"` // of its manifest in the registry
	State   words.State   `json:"state,omitempty"`  // as of an image; empty: it was not pushed
	Archive digest.Digest `json:"archive"`          // of the .tgz
	Files   []ReceiptFile `json:"files"`
	Left    []ReceiptLeft `json:"left"` // references that values did not move
}

// A ReceiptLeft is a reference that values did not move.
type ReceiptLeft struct {
	Reference string   `json:"reference"` // as the chart writes it
	Template  string   `json:"template"`
	Kind      string   `json:"kind"`
	Path      string   `json:"path"`
	Reason    string   `json:"reason"`
	Target    string   `json:"target,omitempty"` // where it should point
	Needs     []string `json:"needs"`            // what moves it all the same
}

func receiptLeft(all []Left) []ReceiptLeft {
	var list []ReceiptLeft
	for _, l := range all {
		list = append(list, ReceiptLeft{l.Raw, l.Template, l.Kind, l.Path, l.Reason, l.Target, l.Needs})
	}
	return list
}

// A ReceiptFile is a file that was written.
type ReceiptFile struct {
	Path   string        `json:"path"`
	Digest digest.Digest `json:"digest"`
}

// PrepareReceipt finds out before the first push whether a receipt of the bundle at
// path can be written.
func PrepareReceipt(o ReceiptOptions, path string, dryRun bool) error {
	if o.Path == "" {
		return nil
	}
	if dryRun {
		return &fault.UsageError{What: "a dry run does nothing that a receipt could be given for"}
	}
	if st, err := os.Stat(o.Path); err == nil {
		if !st.Mode().IsRegular() {
			return &fault.UsageError{What: "receipt " + o.Path + " is not a regular file", Advice: "name a new file, or an old receipt"}
		}
		if of, err := os.Stat(path); err == nil && os.SameFile(st, of) {
			return &fault.UsageError{What: "receipt " + o.Path + " is the bundle itself", Advice: "name another file"}
		}
	}
	err := disk.CheckWritable(o.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return &fault.UsageError{What: fmt.Sprintf("receipt %s: no folder %s", o.Path, filepath.Dir(o.Path)), Advice: "make it first, or name another file"}
	}
	if err != nil {
		return fmt.Errorf("receipt: %w", err)
	}
	return nil
}

// WriteReceipt writes the receipt and its signature, each whole or not at all, the
// signature last.
func WriteReceipt(o ReceiptOptions, r *Receipt) error {
	if o.Path == "" {
		return nil
	}
	words.Complete(r)
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("receipt: %w", err)
	}
	b = append(b, '\n')
	var sig []byte
	if o.Signer != nil {
		if sig, err = checksum.SignFor(checksum.ReceiptNamespace, b, o.Signer.Key); err != nil {
			return fmt.Errorf("receipt: %w", err)
		}
	}
	if err := disk.WriteFile(o.Path, b); err != nil {
		return fmt.Errorf("receipt: %w", err)
	}
	if sig == nil {
		// One of an earlier receipt would be none of this.
		if err := os.Remove(o.Path + ".sig"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("receipt: %w", err)
		}
		return nil
	}
	if err := disk.WriteFile(o.Path+".sig", sig); err != nil {
		return fmt.Errorf("receipt: %w", err)
	}
	return nil
}

// MaxReceipt bounds a receipt, in bytes.
const MaxReceipt = 64 << 20

var receiptRules = strict.Rules{Bytes: MaxReceipt, Depth: 16, Values: 5_000_000, AnyCase: true}

// ParseReceipt reads a receipt; ok is false for anything else.
func ParseReceipt(b []byte) (r *Receipt, ok bool) {
	r = new(Receipt)
	if !bytes.HasPrefix(bytes.TrimSpace(b), []byte("{")) || receiptRules.Decode(b, r) != nil {
		return nil, false
	}
	return r, r.Version == words.SchemaVersion && r.Registry != "" && r.Bundle.ID != ""
}

// About says which bundle was opened at path.
func About(path string, b *open.Bundle) ReceiptBundle {
	return ReceiptBundle{
		Path:    path,
		Size:    b.Size,
		ID:      b.Record.ID,
		Created: b.Record.Created,
		Serial:  b.Record.Serial,
		Expires: b.Record.Expires,
		Tool:    b.Record.Tool,
		Sums:    digest.FromBytes(b.Sums),
	}
}

// receiptImage adds what the record knows of an image.
func receiptImage(im push.Image, rec *record.Record) ReceiptImage {
	r := ReceiptImage{
		Source: im.Source, Target: im.Target, Digest: digest.Digest(im.Digest),
		State: im.State(false), Replaces: im.Replaces, Reason: im.Refused,
	}
	for _, known := range slices.Concat(rec.Images, rec.Referrers) {
		if known.Reference == im.Source {
			r.Size, r.Platforms = known.Size, known.Platforms
		}
	}
	return r
}

// NewReceipt gathers what an import of the bundle at path did.
func NewReceipt(path string, b *open.Bundle, charts []*Chart, images []push.Image, o Options) (*Receipt, error) {
	r := &Receipt{
		Version:  words.SchemaVersion,
		Verified: b.Verified,
		Finished: time.Now().UTC().Truncate(time.Second),
		Vouched:  b.Vouched,
		Bundle:   About(path, b),
		Registry: o.Registry.String(),
		Complete: true,
	}
	pushed := make(map[string]push.Image) // charts, by their name in the bundle
	for _, im := range images {
		r.Complete = r.Complete && im.Refused == ""
		if im.Kind == place.Chart {
			pushed[im.Source] = im
			continue
		}
		r.Images = append(r.Images, receiptImage(im, b.Record))
	}
	for _, c := range charts {
		out := c.Report(o)
		rc := ReceiptChart{Name: out.Name, Version: out.Version, Target: out.Target, Archive: digest.FromBytes(c.Chart.Archive()), Left: receiptLeft(out.Left)}
		if im, ok := pushed[c.Record.Reference]; ok {
			rc.Digest, rc.State = digest.Digest(im.Digest), im.State(false)
		}
		if o.OutputDir == "" {
			out.Files = nil // none was written
		}
		for _, name := range out.Files {
			file := filepath.Join(o.OutputDir, name)
			content, err := os.ReadFile(file)
			if err != nil {
				return nil, fmt.Errorf("receipt: %w", err)
			}
			rc.Files = append(rc.Files, ReceiptFile{file, digest.FromBytes(content)})
		}
		r.Charts = append(r.Charts, rc)
		r.Complete = r.Complete && len(out.Left)+len(out.Altered) == 0
	}
	return r, r.addLayers(b)
}

// addLayers lists the layers of images that arrived.
func (r *Receipt) addLayers(b *open.Bundle) error {
	arrived := make(map[string]bool)
	for _, im := range r.Images {
		arrived[im.Source] = im.Reason == "" && (arrived[im.Source] || im.State != words.Refused)
	}
	stock, err := b.Stock(func(ref string) bool { return arrived[ref] })
	if err != nil {
		return fmt.Errorf("receipt: %w", err)
	}
	for _, d := range slices.Sorted(maps.Keys(stock)) {
		r.Layers = append(r.Layers, ReceiptLayer{d, stock[d].Size, stock[d].Repositories})
	}
	return nil
}

// CheckReceipt verifies the signature that lies beside a receipt, and returns the
// fingerprint of the trusted key that made it.
func CheckReceipt(ctx context.Context, path string, doc []byte, t *trust.Trust) (string, error) {
	sig, err := input.File(ctx, path+".sig", checksum.MaxSignatureSize)
	if err != nil {
		return "", fmt.Errorf("receipt %s has to be signed where a key is given: %w", path, err)
	}
	who := *t
	who.Namespace = checksum.ReceiptNamespace
	v, err := who.Check(doc, []checksum.Candidate{{Name: path + ".sig", Armored: sig}}, time.Now())
	if err != nil || len(v.Signers) == 0 {
		return "", err
	}
	return v.Signers[0].Fingerprint, nil
}
