package bundle

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"bundle/bundle/internal/disk"
	"bundle/bundle/internal/emit"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/input"
	"bundle/bundle/internal/progress"
	"bundle/bundle/internal/trust"
	"bundle/bundle/reports"
	"bundle/checksum"
)

// sumsBegin is how a list of checksums begins, and no bundle does.
var sumsBegin = regexp.MustCompile(`^[0-9a-f]{64}  [!-~]`)

// isSums reports whether a regular file is a list of checksums, as a release has one.
func isSums(path string) bool {
	if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	begin := make([]byte, 67)
	_, err = io.ReadFull(f, begin)
	return err == nil && sumsBegin.Match(begin)
}

// readSums reads a list and who vouches for it.
func readSums(ctx context.Context, path string, t *trust.Trust) (list []byte, v trust.Vouched, err error) {
	if list, err = input.File(ctx, path, checksum.MaxSize); err != nil {
		return nil, v, err
	}
	if t == nil {
		t = new(trust.Trust)
	}
	whom := *t
	if _, err := os.Stat(path + ".sig"); err == nil {
		whom.Signatures = append(slices.Clone(t.Signatures), path+".sig")
	}
	beside, err := whom.Beside(path)
	if err != nil {
		return nil, v, err
	}
	v, err = whom.Check(list, beside, time.Now())
	return list, v, err
}

// checkSums compares every file that a list names, and is there, with it.
func checkSums(ctx context.Context, path string, list []byte, pr progress.Reporter) (all []reports.ListedFile, err error) {
	wrong := &reports.ListError{List: path}
	pr.Phase("verifying", 0)
	defer pr.End()
	err = checksum.Walk(list, func(s checksum.Sum) error {
		f := reports.ListedFile{Path: filepath.Join(filepath.Dir(path), filepath.FromSlash(s.Name)), SHA256: s.Hex()}
		sum, size, err := hashRegular(ctx, f.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			f.Missing = true
		case err != nil:
			return err
		case sum != s.Digest:
			wrong.Files = append(wrong.Files, s.Name)
		}
		f.Size = size
		all = append(all, f)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(wrong.Files) > 0 {
		return nil, wrong
	}
	return all, nil
}

// hashRegular is the SHA-256 of a file and its size.
func hashRegular(ctx context.Context, path string) (sum [sha256.Size]byte, size int64, err error) {
	st, err := os.Stat(path) // asked before: opening a pipe waits for who writes to it
	if err != nil {
		return sum, 0, err
	}
	if !st.Mode().IsRegular() {
		return sum, 0, fmt.Errorf("%s: not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return sum, 0, err
	}
	defer f.Close()
	h := sha256.New()
	buf := make([]byte, 1<<20)
	for {
		if err := ctx.Err(); err != nil {
			return sum, 0, err
		}
		n, err := f.Read(buf)
		h.Write(buf[:n])
		size += int64(n)
		if err == io.EOF {
			return [sha256.Size]byte(h.Sum(nil)), size, nil
		}
		if err != nil {
			return sum, 0, err
		}
	}
}

// verifySums is Verify for a list of checksums, with the files that lie beside it.
// Those that are not there are in the report; one has to be.
func verifySums(ctx context.Context, path string, t *trust.Trust, pr progress.Reporter) (*reports.Verify, error) {
	list, vouched, err := readSums(ctx, path, t)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	r := &reports.Verify{Path: path, Vouched: vouched, Bundle: aboutSums(path, list)}
	if r.Files, err = checkSums(ctx, path, list, pr); err != nil {
		return nil, err
	}
	for _, f := range r.Files {
		if !f.Missing {
			r.Entries++
			r.Bytes += f.Size
		}
	}
	if r.Entries == 0 {
		return nil, &fault.UsageError{What: path + ": none of the files that it names is there", Advice: "put it beside them: they are looked for in its folder"}
	}
	return r, nil
}

func aboutSums(path string, list []byte) emit.ReceiptBundle {
	return emit.ReceiptBundle{Path: path, Size: int64(len(list)), Sums: digest.FromBytes(list)}
}

// signSums is Sign for a list of checksums. The signature is LIST.sig, as ssh-keygen
// calls it; that of a second one has the key in its name.
func signSums(ctx context.Context, path string, s *trust.Signer, pr progress.Reporter) (*reports.Sign, error) {
	list, vouched, err := readSums(ctx, path, &trust.Trust{Anybody: true})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	r := &reports.Sign{
		Bundle: aboutSums(path, list), KeyType: s.Key.PublicKey().Type(), Path: path,
		Fingerprint: s.Fingerprint(), Signature: path + ".sig",
	}
	if r.Files, err = checkSums(ctx, path, list, pr); err != nil {
		return nil, err
	}
	for _, f := range r.Files {
		if f.Missing {
			return nil, &fault.UsageError{What: f.Path + " is not there, and " + path + " names it", Advice: "who signs a list vouches for all of it"}
		}
	}
	for _, v := range vouched.Signers {
		if v.Signature == r.Signature {
			r.Signature = trust.SignaturePath(path, s)
		}
		if v.Fingerprint == r.Fingerprint {
			r.Signature, r.Already = v.Signature, true
			return r, nil
		}
		r.Others = append(r.Others, v)
	}
	sig, err := s.Sign(list)
	if err != nil {
		return nil, err
	}
	return r, disk.WriteFile(r.Signature, sig)
}
