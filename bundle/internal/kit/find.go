package kit

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"bundle/bundle/internal/fault"
	"bundle/checksum"
)

// maxProgram bounds what is taken out of an archive, in bytes.
const maxProgram = 512 << 20

// Open finds a program for each platform.
func Open(ctx context.Context, w Wanted) (k *Kit, err error) {
	k = &Kit{}
	defer func() {
		if err != nil {
			err = errors.Join(err, k.Close())
		}
	}()
	for _, name := range w.Platforms {
		system, arch, ok := strings.Cut(name, "/")
		if !ok || system == "" || arch == "" || strings.ContainsAny(arch, `/\.`) || strings.ContainsAny(system, `\.`) {
			return k, &fault.UsageError{What: fmt.Sprintf("--with-tool %q", name), Advice: "want OS/ARCH of the machine that imports: linux/amd64, windows/arm64"}
		}
		if slices.ContainsFunc(k.Programs, func(p Program) bool { return p.Platform == name }) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return k, err
		}
		p, err := w.program(system, arch)
		if err != nil {
			return k, err
		}
		k.Programs = append(k.Programs, *p)
	}
	return k, nil
}

// program finds the program for one platform: in the folder, or it is this one.
func (w Wanted) program(system, arch string) (*Program, error) {
	p := &Program{Platform: system + "/" + arch, Name: "bundle-" + system + "-" + arch, close: func() error { return nil }}
	inside := "bundle"
	if system == "windows" {
		p.Name, inside = p.Name+".exe", inside+".exe"
	}
	err := w.find(p, inside)
	if err == nil && p.From == "" {
		if p.Platform != runtime.GOOS+"/"+runtime.GOARCH {
			return nil, w.notFound(p.Platform)
		}
		if p.From, err = os.Executable(); err == nil {
			err = p.open(p.From)
		}
	}
	if err == nil {
		err = p.measure()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("program for %s: %w", p.Platform, err), p.close())
	}
	return p, nil
}

func (w Wanted) notFound(platform string) error {
	e := &fault.UsageError{
		What:   fmt.Sprintf("no program for %s: this one is for %s/%s", platform, runtime.GOOS, runtime.GOARCH),
		Advice: "--tool-dir FOLDER says where archives of a release are, " + strings.ReplaceAll("bundle_VERSION_"+platform, "/", "_") + ".tar.gz",
	}
	if strings.HasPrefix(platform, "windows/") {
		e.Advice = strings.TrimSuffix(e.Advice, ".tar.gz") + ".zip"
	}
	if w.Folder != "" {
		e.What = fmt.Sprintf("no program for %s in %s", platform, w.Folder)
		e.Advice = strings.Replace(e.Advice, "--tool-dir FOLDER says where archives of a release are,", "put the archive of a release there,", 1)
	}
	return e
}

// find looks for a program in the folder; p.From stays empty where there is none.
func (w Wanted) find(p *Program, inside string) error {
	if w.Folder == "" {
		return nil
	}
	entries, err := os.ReadDir(w.Folder)
	if err != nil {
		return fault.Input("--tool-dir", err, "name a folder with archives of a release")
	}
	var found []string
	end := "_" + strings.ReplaceAll(p.Platform, "/", "_")
	for _, e := range entries {
		stem := e.Name()
		for _, suffix := range []string{".tar.gz", ".tgz", ".zip", ".exe"} {
			stem = strings.TrimSuffix(stem, suffix)
		}
		switch name := filepath.Join(w.Folder, e.Name()); {
		case !strings.HasPrefix(stem, "bundle") || !strings.HasSuffix(strings.ReplaceAll(stem, "-", "_"), end): // also as it lies beside a bundle
		case e.IsDir():
			found = append(found, filepath.Join(name, inside))
		default:
			found = append(found, name)
		}
	}
	if len(found) > 1 {
		own := "bundle_" + strings.TrimPrefix(w.Version, "v") + end
		ofVersion := slices.DeleteFunc(slices.Clone(found), func(name string) bool { return !strings.Contains(name, own) })
		if len(ofVersion) != 1 {
			return &fault.UsageError{What: "several programs: " + strings.Join(found, ", "), Advice: "leave the one there that is to travel"}
		}
		found = ofVersion
	}
	if len(found) == 0 { // what an archive holds, unpacked
		if name := filepath.Join(w.Folder, inside); isProgram(name, p.Platform) {
			found = []string{name}
		}
	}
	if len(found) == 0 {
		return nil
	}
	p.From = found[0]
	if err := listed(p.From); err != nil {
		return err
	}
	return p.take(inside)
}

func isProgram(name, platform string) bool {
	f, err := openRegular(name)
	if err != nil {
		return false
	}
	defer f.Close()
	return identify(f, platform) == nil
}

// openRegular opens a file that is one: a pipe would wait for who writes to it.
func openRegular(name string) (*os.File, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, &fault.UsageError{What: name + " is not a regular file"}
	}
	return os.Open(name)
}

// listed compares a file with the SHA256SUMS beside it, where that names it.
func listed(name string) error {
	f, err := openRegular(filepath.Join(filepath.Dir(name), "SHA256SUMS"))
	if err != nil {
		return nil // there is none
	}
	defer f.Close()
	list, err := io.ReadAll(io.LimitReader(f, checksum.MaxSize))
	if err != nil {
		return err
	}
	sum, err := hashFile(name)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(list)) {
		if want, of, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "  "); ok && of == filepath.Base(name) && want != hex.EncodeToString(sum[:]) {
			return fault.Damage(name, errors.New("other content than SHA256SUMS beside it says"))
		}
	}
	return nil
}

// take opens the program, or takes it out of its archive first.
func (p *Program) take(inside string) error {
	switch {
	case strings.HasSuffix(p.From, ".zip"):
		return p.unzip(inside)
	case strings.HasSuffix(p.From, "gz"):
		return p.untar(inside)
	default:
		return p.open(p.From)
	}
}

func (p *Program) unzip(inside string) error {
	f, err := openRegular(p.From)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	z, err := zip.NewReader(f, st.Size())
	if err != nil {
		return p.wrong(err)
	}
	for _, e := range z.File {
		if path.Base(e.Name) == inside {
			r, err := e.Open()
			if err != nil {
				return p.wrong(err)
			}
			return errors.Join(p.unpack(r), r.Close())
		}
	}
	return p.lacks(inside)
}

func (p *Program) lacks(inside string) error {
	return &fault.UsageError{What: fmt.Sprintf("there is no %s in %s", inside, p.From), Advice: "name a folder with archives of a release"}
}

func (p *Program) wrong(err error) error {
	return &fault.UsageError{What: p.From + ": " + err.Error(), Advice: "fetch it again; bundle verify SHA256SUMS checks archives of a release"}
}

func (p *Program) untar(inside string) error {
	f, err := openRegular(p.From)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return p.wrong(err)
	}
	t := tar.NewReader(io.LimitReader(z, maxProgram))
	for {
		h, err := t.Next()
		if err == io.EOF {
			return p.lacks(inside)
		}
		if err != nil {
			return p.wrong(err)
		}
		if h.Typeflag == tar.TypeReg && path.Base(h.Name) == inside {
			return p.unpack(t)
		}
	}
}

// unpack puts the program into a file that goes away with the kit.
func (p *Program) unpack(r io.Reader) error {
	f, err := os.CreateTemp("", "bundle-tool")
	if err != nil {
		return err
	}
	p.content = f
	p.close = func() error { return errors.Join(f.Close(), os.Remove(f.Name())) }
	n, err := io.Copy(f, io.LimitReader(r, maxProgram))
	var ours *fs.PathError // there is no room to unpack it
	switch {
	case errors.As(err, &ours):
		return err
	case err != nil:
		return p.wrong(err)
	case n == maxProgram:
		return p.wrong(fmt.Errorf("the program in it is larger than %d bytes", maxProgram))
	}
	return nil
}

func (p *Program) open(name string) error {
	f, err := openRegular(name)
	if err != nil {
		return err
	}
	p.content, p.close = f, f.Close
	return nil
}

// measure finds out what the program is.
func (p *Program) measure() error {
	if err := identify(p.content, p.Platform); err != nil {
		return fmt.Errorf("%s: %w", p.From, err)
	}
	info, err := p.content.Stat()
	if err != nil {
		return err
	}
	p.Size = info.Size()
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(p.content, 0, p.Size)); err != nil {
		return err
	}
	p.sum = checksum.Sum{Name: p.Name, Digest: [sha256.Size]byte(h.Sum(nil))}
	if e, err := elf.NewFile(p.content); err == nil {
		p.Dynamic = slices.ContainsFunc(e.Progs, func(s *elf.Prog) bool { return s.Type == elf.PT_INTERP })
	}
	return nil
}

// identify requires that a file is this program, for a platform, by what Go notes in
// each program.
func identify(r io.ReaderAt, platform string) error {
	info, err := buildinfo.Read(r)
	if err != nil {
		return &fault.UsageError{What: "it is no program that Go made", Advice: "the archives of a release have programs"}
	}
	system, arch := "", ""
	for _, s := range info.Settings {
		switch s.Key {
		case "GOOS":
			system = s.Value
		case "GOARCH":
			arch = s.Value
		}
	}
	self := "bundle/cmd/bundle"
	if own, ok := debug.ReadBuildInfo(); ok {
		self = own.Path
	}
	switch {
	case info.Path != self:
		return &fault.UsageError{What: fmt.Sprintf("it is another program, %s", info.Path), Advice: "the archives of a release have this one"}
	case system+"/"+arch != platform:
		return &fault.UsageError{What: fmt.Sprintf("it is a program for %s/%s, and not for %s", system, arch, platform), Advice: "put the archive for that platform there"}
	}
	return nil
}

func hashFile(name string) (sum [sha256.Size]byte, err error) {
	f, err := openRegular(name)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return [sha256.Size]byte(h.Sum(nil)), err
}
