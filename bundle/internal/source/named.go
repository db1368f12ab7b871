package source

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/image"
	"bundle/bundle/internal/imagefile"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/record"
)

// Named are the images that the user names beside those of charts.
type Named struct {
	Findings []record.Finding
	Files    map[string]image.Files // of those that lie in files, by their names in full
	Answers  map[string]string      // text that a chart writes → name of the image that it becomes

	archives []*imagefile.Archive
}

// Close gives back the files that images lie in.
func (n *Named) Close() error {
	var err error
	for _, a := range n.archives {
		err = errors.Join(err, a.Close())
	}
	return err
}

// Name reads images as --image takes them: REF, TEXT=REF where a chart writes
// TEXT in the place of an image, and [REF=]oci:FOLDER[:NAME],
// [REF=]oci-archive:FILE[:NAME] or [REF=]docker-archive:FILE[:REF] for images that
// are in no registry. The caller closes what it returns, also beside an error.
func Name(ctx context.Context, images []string) (*Named, error) {
	n := &Named{Files: make(map[string]image.Files), Answers: make(map[string]string)}
	for _, raw := range images {
		text, from := cutAnswer(raw)
		var err error
		if kind, rest, ok := cutTransport(from); ok {
			err = n.addFiles(ctx, text, kind, rest)
		} else {
			err = n.addReference(text, from)
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// cutAnswer parts TEXT=REF. A reference has no equals sign, a text and the path of
// a file may.
func cutAnswer(raw string) (text, from string) {
	if _, _, ok := cutTransport(raw); ok {
		return "", raw
	}
	for _, kind := range imagefile.Kinds {
		if text, from, ok := strings.Cut(raw, "="+string(kind)+":"); ok && !strings.HasPrefix(from, "//") {
			return text, string(kind) + ":" + from
		}
	}
	if i := strings.LastIndexByte(raw, '='); i >= 0 {
		return raw[:i], raw[i+1:]
	}
	return "", raw
}

// cutTransport reads KIND:REST; oci://HOST is a registry.
func cutTransport(s string) (kind imagefile.Kind, rest string, ok bool) {
	for _, kind := range imagefile.Kinds {
		if rest, ok := strings.CutPrefix(s, string(kind)+":"); ok && !(kind == imagefile.OCI && strings.HasPrefix(rest, "//")) {
			return kind, rest, true
		}
	}
	return "", "", false
}

// fileUnder makes the path of an image in a file relative to a folder.
func fileUnder(dir, raw string) string {
	text, from := cutAnswer(raw)
	kind, rest, ok := cutTransport(from)
	if !ok {
		return raw
	}
	if text != "" {
		text += "="
	}
	return text + string(kind) + ":" + under(dir, rest)
}

func (n *Named) addReference(text, raw string) error {
	ref, err := name.Parse(raw)
	if err != nil {
		return &fault.UsageError{What: err.Error(), Advice: "want HOST/PATH:TAG or HOST/PATH@sha256:…, or a file as oci:FOLDER:NAME, oci-archive:FILE or docker-archive:FILE"}
	}
	n.add(raw)
	if text != "" {
		n.Answers[record.Printable(text)] = ref.String()
	}
	return nil
}

func (n *Named) add(raw string) {
	n.Findings = append(n.Findings, record.Finding{Raw: raw, Confidence: string(name.Image)})
}

// addFiles adds what lies in files, each image under the name that the user says
// or its own.
func (n *Named) addFiles(ctx context.Context, as string, kind imagefile.Kind, rest string) error {
	path, inside, _ := strings.Cut(rest, ":")
	if len(path) == 1 && strings.HasPrefix(inside, `\`) { // a drive
		drive := path
		path, inside, _ = strings.Cut(inside, ":")
		path = drive + ":" + path
	}
	a, err := imagefile.Open(ctx, kind, path, inside)
	if err != nil {
		return err
	}
	n.archives = append(n.archives, a)
	if as != "" && a.Same() {
		a.Images = a.Images[:1] // it has several names there
	}
	if as != "" && len(a.Images) > 1 {
		var there []string
		for _, im := range a.Images {
			there = append(there, im.Name)
		}
		return &fault.UsageError{
			What:   fmt.Sprintf("--image %s=%s:%s: there are %d images in it, and one name", as, kind, rest, len(a.Images)),
			Advice: fmt.Sprintf("say which with %s:%s:NAME; there is %s", kind, path, strings.Join(there, ", ")),
		}
	}
	for _, im := range a.Images {
		ref, err := fileName(as, im.Name, path)
		if err != nil {
			return &fault.UsageError{
				What:   fmt.Sprintf("image %q in %s:%s: %v", im.Name, kind, path, err),
				Advice: fmt.Sprintf("say its name: --image HOST/PATH:TAG=%s:%s:NAME", kind, path),
			}
		}
		if n.Files[ref.String()] != nil {
			return &fault.UsageError{
				What:   fmt.Sprintf("two images are called %s, the second is in %s:%s", ref, kind, path),
				Advice: fmt.Sprintf("give one of them another name: --image HOST/PATH:TAG=%s:%s:NAME", kind, path),
			}
		}
		n.Files[ref.String()] = im
		n.add(ref.String())
	}
	return nil
}

var notInPath = regexp.MustCompile(`[^a-z0-9]+`)

// fileName is the name in full of an image in files: the user's, its own or, as
// podman calls it, localhost/ with the name of the file and its tag.
func fileName(as, own, path string) (name.Reference, error) {
	if as != "" {
		return name.Parse(as)
	}
	if imagefile.Full(own) {
		return name.Parse(own)
	}
	base := strings.ToLower(filepath.Base(filepath.Clean(path)))
	for _, end := range []string{".tar", ".oci"} {
		base = strings.TrimSuffix(base, end)
	}
	base = strings.Trim(notInPath.ReplaceAllString(base, "-"), "-")
	tag := own
	if tag == "" {
		tag = "latest"
	}
	return name.Parse("localhost/" + base + ":" + tag)
}
