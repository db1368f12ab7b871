package main

import (
	"bytes"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm"
)

// places are where packages have what archives have.
var places = map[string]string{
	"README.md":               "/usr/share/doc/bundle/README.md",
	"completions/bundle.bash": "/usr/share/bash-completion/completions/bundle",
	"completions/bundle.fish": "/usr/share/fish/vendor_completions.d/bundle.fish",
}

// zshPlaces are where the two families look for completions of zsh.
var zshPlaces = map[string]string{
	"deb": "/usr/share/zsh/vendor-completions/_bundle",
	"rpm": "/usr/share/zsh/site-functions/_bundle",
}

// others are packages that have a program of the same name and place.
var others = map[string][]string{"deb": {"ruby-bundler"}, "rpm": {"rubygem-bundler"}}

// packages makes a .deb and an .rpm.
func (r *release) packages(p platform, program []byte, docs []file) error {
	for _, format := range []string{"deb", "rpm"} {
		contents, err := r.contents(format, p, program, docs)
		if err != nil {
			return err
		}
		info := nfpm.WithDefaults(&nfpm.Info{
			Name: "bundle", Arch: p.arch, Platform: "linux", MTime: r.made,
			Version: packageVersion(r.version, r.made.Format("20060102")), VersionSchema: "none", Release: "1",
			Section: "admin", Priority: "optional", Maintainer: "the authors of bundle",
			Description:     "Carry Helm applications across an air gap\nbundle writes a Helm chart and every image it needs into one signed file,\nand in the isolated network verifies it, pushes it into the private registry\nand writes the values with which Helm pulls everything from there.",
			DisableGlobbing: true,
			Overridables: nfpm.Overridables{
				Conflicts: others[format], Contents: contents,
				RPM: nfpm.RPM{BuildHost: "localhost", Summary: "Carry Helm applications across an air gap"},
			},
		})
		if err := nfpm.PrepareForPackager(info, format); err != nil {
			return err
		}
		packager, err := nfpm.Get(format)
		if err != nil {
			return err
		}
		var out bytes.Buffer
		if err := packager.Package(info, &out); err != nil {
			return err
		}
		if err := r.write(packager.ConventionalFileName(info), out.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// contents puts files where the package builder finds them.
func (r *release) contents(format string, p platform, program []byte, docs []file) (all files.Contents, err error) {
	stage := filepath.Join(r.stage, format+"-"+p.arch)
	add := func(f file, place string) error {
		src := filepath.Join(stage, filepath.FromSlash(place))
		if err := os.MkdirAll(filepath.Dir(src), 0o755); err != nil {
			return err
		}
		all = append(all, &files.Content{Source: src, Destination: place, FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: f.mode, MTime: r.made}})
		return os.WriteFile(src, f.data, f.mode)
	}
	if err := add(file{mode: 0o755, data: program}, "/usr/bin/bundle"); err != nil {
		return nil, err
	}
	for _, d := range docs {
		place := places[d.path]
		switch {
		case strings.HasPrefix(d.path, "man/"):
			place = path.Join("/usr/share", d.path+".gz")
			if d.data, err = gzipped(d.data); err != nil {
				return nil, err
			}
		case d.path == "completions/_bundle":
			place = zshPlaces[format]
		}
		if place == "" {
			continue // for systems without packages
		}
		if err := add(d, place); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// described matches what git describe says after the last tag.
var described = regexp.MustCompile(`^(.*)-([0-9]+)-g([0-9a-f]+)$`)

// packageVersion is a version as packages have it, in an order that holds: 1.2.3~rc.1
// before 1.2.3, before 1.2.3+4.gHASH, four commits later. Without a tag it comes
// before all of them.
func packageVersion(version, day string) string {
	v, dirty := strings.CutSuffix(version, "-dirty")
	number := strings.TrimPrefix(v, "v")
	later := ""
	if m := described.FindStringSubmatch(number); m != nil {
		number, later = m[1], "+"+m[2]+".g"+m[3]
	}
	number = strings.ReplaceAll(strings.Replace(number, "-", "~", 1), "-", ".") + later
	if !strings.Contains(number, ".") || strings.IndexAny(number, "0123456789") != 0 {
		number = "0~git" + day + "." + strings.ReplaceAll(v, "-", ".")
	}
	if dirty {
		number += "+dirty"
	}
	return number
}
