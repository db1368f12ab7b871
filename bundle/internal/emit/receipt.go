package emit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"

	"bundle/bundle/internal/disk"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/push"
	"bundle/bundle/internal/trust"
	"bundle/checksum"
)

// receiptVersion is the version of the receipt's format.
const receiptVersion = 1

// ReceiptOptions say where an import writes what it did, for the audit file.
type ReceiptOptions struct {
	Path   string        // empty: nowhere
	Signer *trust.Signer // signs it into Path.sig, in a namespace of its own; nil: nobody does
	Tool   string        // name and version of the calling program
}

// A Receipt says what was verified, on whose word, and what was pushed where.
type Receipt struct {
	Version  int       `json:"receiptVersion"`
	Tool     string    `json:"tool"`
	Verified time.Time `json:"verified"` // when signatures were checked, UTC
	Finished time.Time `json:"finished"` // when all was pushed and written, UTC
	trust.Vouched
	Bundle   ReceiptBundle  `json:"bundle"`
	Registry string         `json:"registry"`
	Images   []ReceiptImage `json:"images"` // charts as well, as what they are in a registry
	Charts   []ReceiptChart `json:"charts,omitempty"`
	Complete bool           `json:"complete"` // false: references are left that point outside, or that nobody can pull
}

// A ReceiptBundle says which bundle it was.
type ReceiptBundle struct {
	Path    string        `json:"path"`
	Size    int64         `json:"size"`
	ID      string        `json:"id"`
	Created time.Time     `json:"created"`
	Tool    string        `json:"tool"`
	Sums    digest.Digest `json:"sums"` // of SHA256SUMS, and so of everything
}

// A ReceiptImage is one name in the target registry.
type ReceiptImage struct {
	Source string        `json:"source"`
	Target string        `json:"target"`
	Digest digest.Digest `json:"digest"`
	State  string        `json:"state"` // pushed; present: it was there before; refused: it is not there
}

// A ReceiptChart is a chart and the values files that were written for it.
type ReceiptChart struct {
	Name    string        `json:"name"`
	Version string        `json:"version"`
	Target  string        `json:"target"`
	Archive digest.Digest `json:"archive"` // of the .tgz
	Files   []ReceiptFile `json:"files"`
	Left    []Left        `json:"left,omitempty"` // references that values did not move
}

// A ReceiptFile is a file that was written.
type ReceiptFile struct {
	Path   string        `json:"path"`
	Digest digest.Digest `json:"digest"`
}

// Prepare finds out before the first push whether a receipt of the bundle at
// path can be written.
func (o ReceiptOptions) Prepare(path string, dryRun bool) error {
	if o.Path == "" {
		return nil
	}
	if dryRun {
		return &fault.UsageError{What: "a dry run does nothing that a receipt could be given for"}
	}
	if st, err := os.Stat(o.Path); err == nil {
		if !st.Mode().IsRegular() {
			return &fault.UsageError{What: "receipt " + o.Path + " is not a regular file"}
		}
		if of, err := os.Stat(path); err == nil && os.SameFile(st, of) {
			return &fault.UsageError{What: "receipt " + o.Path + " is the bundle itself"}
		}
	}
	probe, err := os.CreateTemp(filepath.Dir(o.Path), "."+filepath.Base(o.Path)+".*")
	if errors.Is(err, fs.ErrNotExist) {
		return &fault.UsageError{What: fmt.Sprintf("receipt %s: no folder %s", o.Path, filepath.Dir(o.Path))}
	}
	if err != nil {
		return fmt.Errorf("receipt: %w", err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// Write writes the receipt and its signature, each whole or not at all, the
// signature last.
func (o ReceiptOptions) Write(r *Receipt) error {
	if o.Path == "" {
		return nil
	}
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

// NewReceipt gathers what an import of the bundle at path did.
func NewReceipt(path string, b *open.Bundle, charts []*Chart, images []push.Image, o Options) (*Receipt, error) {
	r := &Receipt{
		Version:  receiptVersion,
		Verified: b.Verified,
		Finished: time.Now().UTC().Truncate(time.Second),
		Vouched:  b.Vouched,
		Bundle: ReceiptBundle{
			Path:    path,
			Size:    b.Size,
			ID:      b.Record.ID,
			Created: b.Record.Created,
			Tool:    b.Record.Tool,
			Sums:    digest.FromBytes(b.Sums),
		},
		Registry: o.Registry.String(),
		Images:   []ReceiptImage{},
		Complete: true,
	}
	for _, im := range images {
		state := "present"
		switch {
		case im.Pushed:
			state = "pushed"
		case im.Refused != "":
			state, r.Complete = "refused", false
		}
		r.Images = append(r.Images, ReceiptImage{im.Source, im.Target, digest.Digest(im.Digest), state})
	}
	for _, c := range charts {
		out := c.Report(o)
		rc := ReceiptChart{Name: out.Name, Version: out.Version, Target: out.Target, Archive: digest.FromBytes(c.Chart.Archive()), Left: out.Left}
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
	return r, nil
}
