package bundle

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"bundle/checksum"
)

// maxBeside is how many signatures may lie beside a bundle.
const maxBeside = 64

// A SignReport says what was signed.
type SignReport struct {
	Path        string    `json:"path"`
	ID          string    `json:"id"`
	Created     time.Time `json:"created"`
	Charts      []string  `json:"charts,omitempty"` // name-version
	Images      int       `json:"images"`
	Fingerprint string    `json:"fingerprint"`       // of the key that signed
	Signature   string    `json:"signature"`         // where it is: a file, or SHA256SUMS.sig in the bundle
	Already     bool      `json:"already,omitempty"` // it was there before
	Others      []Voucher `json:"others,omitempty"`  // who else signed; whether to believe them was not asked
}

// Sign adds a signature to a bundle, in a file beside it: the bundle's name,
// the key and .sig. The bundle is not touched. Whoever signs vouches for the
// content, so all of it is checked before, as Verify does, and so are the
// signatures that are there, but for whether their keys are trusted.
func Sign(ctx context.Context, path string, s *Signer, pr Progress) (*SignReport, error) {
	b, err := Open(path, &Trust{anybody: true})
	if err != nil {
		return nil, err
	}
	defer b.Close()
	r := &SignReport{
		Path:        path,
		ID:          b.Record.ID,
		Created:     b.Record.Created,
		Images:      len(b.Record.Images),
		Fingerprint: s.Fingerprint(),
		Signature:   signaturePath(path, s),
	}
	for _, c := range b.Record.Charts {
		r.Charts = append(r.Charts, c.label())
	}
	for _, f := range b.Signers {
		if f.Fingerprint == r.Fingerprint {
			r.Signature, r.Already = f.Signature, true
			continue
		}
		r.Others = append(r.Others, f)
	}
	if err := b.checkAll(ctx, orSilent(pr)); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if r.Already {
		return r, nil
	}
	sig, err := s.sign(b.list)
	if err != nil {
		return nil, err
	}
	return r, writeSynced(r.Signature, sig)
}

// signaturePath is where a signature by s lies: the fingerprint with the
// letters that every file system takes.
func signaturePath(path string, s *Signer) string {
	hash := strings.TrimPrefix(s.Fingerprint(), "SHA256:")
	if raw, err := base64.RawStdEncoding.DecodeString(hash); err == nil {
		hash = base64.RawURLEncoding.EncodeToString(raw)
	}
	return path + "." + hash + ".sig"
}

// beside reads the signatures that lie next to a bundle, BUNDLE.*.sig, and
// those that were named.
func (t *Trust) beside(path string) ([]checksum.Candidate, error) {
	if t == nil || t.skip {
		return nil, nil
	}
	names, err := besideNames(path)
	if err != nil {
		return nil, err
	}
	var found []checksum.Candidate
	add := func(name string) error {
		sig, err := readSignature(name)
		if err == nil {
			found = append(found, checksum.Candidate{Name: name, Armored: sig})
		}
		return err
	}
	for _, name := range append(names, t.Signatures...) {
		if err := add(name); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// besideNames lists the signatures that lie next to a bundle, sorted. The
// folder is read bit by bit: whoever made the medium may have filled it.
func besideNames(path string) (names []string, err error) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("signatures beside %s: %w", path, err)
	}
	defer dir.Close()
	for {
		files, err := dir.ReadDir(1000)
		for _, f := range files {
			rest, ok := strings.CutPrefix(f.Name(), filepath.Base(path)+".")
			if !ok || !strings.HasSuffix(rest, ".sig") || !f.Type().IsRegular() {
				continue
			}
			if len(names) == maxBeside {
				return nil, &UsageError{
					What:   fmt.Sprintf("more than %d signatures beside %s", maxBeside, path),
					Advice: "remove those that are not of this bundle",
				}
			}
			names = append(names, filepath.Join(filepath.Dir(path), f.Name()))
		}
		if errors.Is(err, io.EOF) {
			slices.Sort(names)
			return names, nil
		}
		if err != nil {
			return nil, fmt.Errorf("signatures beside %s: %w", path, err)
		}
	}
}

// readSignature reads a file as far as a signature can go, and one byte more.
func readSignature(name string) ([]byte, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &UsageError{What: fmt.Sprintf("signature: %v", err)}
	}
	if err != nil {
		return nil, fmt.Errorf("signature: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, checksum.MaxSignatureSize+1))
	if err != nil {
		return nil, fmt.Errorf("signature: %w", err)
	}
	return b, nil
}

// writeSynced puts content under path, whole or not at all, and on the disk
// before it returns: what it writes is carried away on media.
func writeSynced(path string, content []byte) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	syncDir(dir)
	return nil
}

// syncDir makes a rename durable. Not every file system can do that, and
// then there is nothing more to be done.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}
