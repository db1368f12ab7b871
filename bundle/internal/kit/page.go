package kit

import (
	"bytes"
	_ "embed"
	"strings"
	"sync"
	"text/template"
	"time"
)

// About is the bundle that a kit lies beside.
type About struct {
	Bundle      string    // name of its file; of one in parts, what the names of parts begin with
	Parts       int       // how many there are, with those of parity; 0: it is one file
	Spare       int       // how many of them may be lost
	Created     time.Time // of the bundle
	Tool        string    // name and version of the program that wrote it
	Content     string    // what is in it, in a few words
	Leaves      int       // layers that a delta leaves out; 0: it is whole
	Bases       []string  // bundles that brought those
	Fingerprint string    // of the key that signed it; empty: nobody did
	Sign        func([]byte) ([]byte, error)
}

// pageTitle is the first line of the page, by which it is known again.
const pageTitle = "READ ME FIRST: how to check and import what is on this medium"

//go:embed page.txt
var pageText string

// pageTemplate is parsed when a page is written, not in each run of the program.
var pageTemplate = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Parse(pageText))
})

// page is what a person reads who gets the medium, and nothing else.
func (a About) page(programs []Program) ([]byte, error) {
	view := struct {
		About
		Title         string
		Programs      []Program
		Unix, Windows string // a program to show commands for; empty: none
		Grouped       string // the fingerprint, as people read it aloud
		Path          string // what commands name
		Page, List    string
		Signature     string
	}{About: a, Title: pageTitle, Programs: programs, Grouped: grouped(a.Fingerprint), Path: quoted(a.Bundle), Page: pageName, List: listName, Signature: signatureName}
	for _, p := range programs {
		if strings.HasPrefix(p.Platform, "windows/") {
			view.Windows = p.Name
		} else if view.Unix == "" || strings.HasPrefix(p.Platform, "linux/") && !strings.HasPrefix(view.Unix, "bundle-linux") {
			view.Unix = p.Name
		}
	}
	if a.Parts > 0 {
		view.Path = "MEDIUM"
	}
	var out bytes.Buffer
	err := pageTemplate().Execute(&out, view)
	return out.Bytes(), err
}

// quoted is a name as shells of all systems take it.
func quoted(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || strings.ContainsRune("$&()<>|;*?'!#^%", r) }) {
		return `"` + name + `"`
	}
	return name
}

// grouped parts the letters of a fingerprint into fours, as --fingerprint takes it too.
func grouped(fingerprint string) string {
	label, letters, _ := strings.Cut(fingerprint, ":")
	var out strings.Builder
	out.WriteString(label + ":")
	for i, r := range letters {
		if i%4 == 0 {
			out.WriteByte(' ')
		}
		out.WriteRune(r)
	}
	return out.String()
}
