package trust

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bundle/bundle/internal/fault"
	"bundle/checksum"
)

// MaxBeside is how many signatures may lie beside a bundle.
const MaxBeside = 64

// SignaturePath is where a signature by s lies: the fingerprint with the
// letters that every file system takes.
func SignaturePath(path string, s *Signer) string {
	hash := strings.TrimPrefix(s.Fingerprint(), "SHA256:")
	if raw, err := base64.RawStdEncoding.DecodeString(hash); err == nil {
		hash = base64.RawURLEncoding.EncodeToString(raw)
	}
	return path + "." + hash + ".sig"
}

// Beside reads the signatures that lie next to a bundle, BUNDLE.*.sig, and
// those that were named. A bundle in parts has a path on each medium.
func (t *Trust) Beside(paths ...string) ([]checksum.Candidate, error) {
	if t == nil || t.skip {
		return nil, nil
	}
	var names []string
	for _, path := range paths {
		more, err := besideNames(path)
		if err != nil {
			return nil, err
		}
		names = append(names, more...)
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
			if len(names) == MaxBeside {
				return nil, &fault.UsageError{
					What:   fmt.Sprintf("more than %d signatures beside %s", MaxBeside, path),
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
	// Asked before: opening a pipe waits for who writes to it.
	info, err := os.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: %w: not a regular file", name, fs.ErrNotExist)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &fault.UsageError{What: fmt.Sprintf("signature: %v", err)}
	}
	f, err := os.Open(name)
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
