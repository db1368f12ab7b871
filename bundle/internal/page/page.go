// Package page shows bundles to the person who decides whether they come in: one
// HTML document without a script, for a screen of any width, for paper, for a
// keyboard and for who has it read aloud.
//
// The contract: every text in it is hostile input. html/template escapes it, what
// cannot be printed is replaced (control characters, also those that turn the
// direction of writing), and texts in other directions are kept to themselves. The
// page loads nothing, and [Policy] forbids that it could. It claims of signatures
// what was checked and no more.
//
//	err := page.Write(w, []page.Bundle{{Path: "app.bundle.tar", Record: rec}}, page.Options{Now: time.Now()})
package page

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"sigs.k8s.io/yaml"

	"bundle/bundle/internal/diff"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/trust"
	"bundle/bundle/internal/words"
)

// A Bundle is one that is shown.
type Bundle struct {
	Path    string // as the user named it
	Size    int64
	Record  *record.Record
	Signed  bool            // there is a signature in it
	Checked bool            // Signers were checked against trusted keys; else they are claimed
	Signers []trust.Voucher //

	Older   *record.Record // what there was before; nil: nothing
	Changes *diff.Report   // since then
}

// Options say how it is shown.
type Options struct {
	Now    time.Time // the moment that ages are told for
	Server string    // host:port that serves the bundles; empty: nobody does
}

//go:embed page.css
var style string

//go:embed page.html
var source string

// Policy is the Content-Security-Policy of the page: its own style sheet and nothing
// else. A file has it in its head, without the part that only headers can have.
var Policy = inFile + "; frame-ancestors 'none'"

var inFile = "default-src 'none'; style-src 'sha256-" + styleSum() + "'; base-uri 'none'; form-action 'none'"

func styleSum() string {
	sum := sha256.Sum256([]byte(style))
	return base64.StdEncoding.EncodeToString(sum[:])
}

var functions = template.FuncMap{
	"t":      record.Printable,
	"style":  func() template.CSS { return template.CSS(style) }, //nolint:gosec // our own
	"policy": func() string { return inFile },
	"size":   fault.Size,
	"groups": groups,
	"count":  count,
	"digest": func(d fmt.Stringer) string { return record.Printable(d.String()) },
	"base":   func(p string) string { return record.Printable(filepath.Base(p)) },
	"shell":  shell,
	"values": values,
	"when":   func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") },
	"stamp":  func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"attach": attached,
	"value":  value,

	"settings": settings,
	"add":      func(a, b int) int { return a + b },
}

// tmpl is parsed when a page is written, not in each run of the program.
var tmpl = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Funcs(functions).Parse(source))
})

// Write writes the page.
func Write(w io.Writer, bundles []Bundle, o Options) error {
	o.Now = o.Now.UTC()
	data := struct {
		Bundles []Bundle
		Options
		Several bool
	}{bundles, o, len(bundles) > 1}
	if err := tmpl().Execute(w, data); err != nil {
		return fmt.Errorf("page: %w", err)
	}
	return nil
}

// Age says how old a bundle is, in words.
func (o Options) Age(t time.Time) string {
	d := o.Now.Sub(t)
	count := func(n int, what string) string {
		if n == 1 {
			return "1 " + what + " old"
		}
		return fmt.Sprintf("%d %ss old", n, what)
	}
	switch {
	case d < -time.Hour:
		return "from the future: one of two clocks is wrong"
	case d < 2*time.Hour:
		return count(max(0, int(d.Minutes())), "minute")
	case d < 48*time.Hour:
		return count(int(d.Hours()), "hour")
	}
	return count(int(d.Hours()/24), "day")
}

// Past reports whether a bundle is not to be used any more.
func (o Options) Past(t time.Time) bool { return !t.IsZero() && o.Now.After(t) }

// groups writes a fingerprint in groups of four, to be compared with paper.
func groups(s string) []string {
	s = record.Printable(s)
	kind, sum, ok := strings.Cut(s, ":")
	if !ok {
		return []string{s}
	}
	all := []string{kind + ":"}
	for r := []rune(sum); len(r) > 0; r = r[min(4, len(r)):] {
		all = append(all, string(r[:min(4, len(r))]))
	}
	return all
}

// shell writes the name of a file as a word of a command, and never as a flag.
func shell(s string) string {
	s = record.Printable(filepath.ToSlash(s))
	if strings.HasPrefix(s, "-") {
		s = "./" + s
	}
	return words.Quote(s)
}

// values are a chart's, as YAML; empty where none were given.
func values(v map[string]any) (string, error) {
	if len(v) == 0 {
		return "", nil
	}
	b, err := yaml.Marshal(v)
	if err != nil {
		return "", err
	}
	return lines(string(b)), nil
}

// A table is a list of settings with what it is about.
type table struct {
	Title  string
	Values []diff.Value
}

func settings(title string, values []diff.Value) table { return table{title, values} }

// value is one setting, as JSON: a text in quotes is told from a number.
func value(v any) string {
	const most = 1000 // characters: some settings are whole files
	text := fmt.Sprint(v)
	if b, err := json.Marshal(v); err == nil {
		text = string(b)
	}
	if r := []rune(text); len(r) > most {
		text = fmt.Sprintf("%s… (%d characters in all)", string(r[:most]), len(r))
	}
	return record.Printable(text)
}

// lines is record.Printable for text of several lines.
func lines(s string) string {
	all := strings.Split(s, "\n")
	for i, l := range all {
		all[i] = record.Printable(l)
	}
	return strings.Join(all, "\n")
}

// attached is what is attached to an image of a record, by its digest.
func attached(rec *record.Record, im record.Image) (all []record.Image) {
	if len(rec.Referrers) > 1000 && len(rec.Images) > 100 {
		return nil // they are listed for themselves below
	}
	for _, r := range rec.Referrers {
		if r.Subject == im.Digest {
			all = append(all, r)
		}
	}
	return all
}

// count writes a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
