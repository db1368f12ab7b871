package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/cpuguy83/go-md2man/v2/md2man"
)

// A file goes into archives and packages.
type file struct {
	path string // as in archives; packages have places of their own
	mode os.FileMode
	data []byte
}

// pages matches what the manual page of the program refers to.
var pages = regexp.MustCompile(`\\fBbundle\\-([a-z]+)\\fR\(1\)`)

// documents are manual pages, completions and the README.
func (r *release) documents(ctx context.Context, program string) (docs []file, err error) {
	add := func(path string, data []byte) { docs = append(docs, file{path, 0o644, data}) }
	readme, err := os.ReadFile(filepath.Join(r.source, "README.md"))
	if err != nil {
		return nil, err
	}
	add("README.md", readme)
	main, err := r.ask(ctx, program, "help", "--man")
	if err != nil {
		return nil, err
	}
	add("man/man1/bundle.1", main)
	for _, m := range pages.FindAllSubmatch(main, -1) {
		page, err := r.ask(ctx, program, "help", string(m[1]), "--man")
		if err != nil {
			return nil, err
		}
		add("man/man1/bundle-"+string(m[1])+".1", page)
	}
	if len(docs) < 10 {
		return nil, fmt.Errorf("only %d manual pages: the page of the program does not name the others", len(docs))
	}
	guides, err := filepath.Glob(filepath.Join(r.source, "cmd/bundle/guides", "*.md"))
	if err != nil {
		return nil, err
	}
	for _, guide := range guides {
		text, err := os.ReadFile(guide)
		if err != nil {
			return nil, err
		}
		name := "bundle-" + strings.TrimSuffix(filepath.Base(guide), ".md")
		add("man/man7/"+name+".7", r.guide(name, text))
	}
	for shell, path := range map[string]string{"bash": "bundle.bash", "zsh": "_bundle", "fish": "bundle.fish", "powershell": "bundle.ps1"} {
		script, err := r.ask(ctx, program, "completion", shell)
		if err != nil {
			return nil, err
		}
		add("completions/"+path, script)
	}
	return docs, nil
}

// ask returns what the program prints, by the word of this release alone.
func (r *release) ask(ctx context.Context, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = []string{"HOME=~", "SOURCE_DATE_EPOCH=" + fmt.Sprint(r.made.Unix())}
	cmd.Stderr = os.Stderr
	return cmd.Output()
}

// links matches references to pages beside a guide, which a manual page has by
// another name.
var links = regexp.MustCompile(`\[([^\]]+)\]\(([a-z]+)\.md\)`)

// guide makes a manual page of Markdown: its title becomes the name.
func (r *release) guide(name string, text []byte) []byte {
	title, rest, found := bytes.Cut(bytes.TrimLeft(text, "\n"), []byte("\n"))
	if !found || !bytes.HasPrefix(title, []byte("# ")) {
		title, rest = []byte("# "+name), text
	}
	var page bytes.Buffer
	fmt.Fprintf(&page, "%% %s 7 \"%s\" \"bundle %s\" \"Guides\"\n\n# NAME\n\n%s - %s\n\n# DESCRIPTION\n",
		strings.ToUpper(name), r.made.Format("2006-01-02"), r.version, name, bytes.TrimSpace(title[2:]))
	page.Write(links.ReplaceAll(rest, []byte("$1 (**bundle-$2**(7))")))
	fmt.Fprintf(&page, "\n# SEE ALSO\n\n**bundle**(1)\n")
	return tidy(md2man.Render(page.Bytes()))
}

// minus matches a minus that a formatter may make a hyphen of, which no shell takes.
var minus = regexp.MustCompile(`(^|[^\\])-`)

// tidy mends what md2man leaves: words are not cut, a minus stays one, and the last
// column of a table takes the width that there is.
func tidy(page []byte) []byte {
	var out strings.Builder
	table, cell := false, false
	for line := range strings.Lines(string(page)) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == ".nh":
			continue
		case strings.HasPrefix(line, ".TH "):
			line += "\n.nh\n.ad l"
		case line == ".TS":
			table = true
		case line == ".TE":
			table = false
		case strings.HasPrefix(line, "."), strings.HasPrefix(line, "'"):
		case table && strings.HasSuffix(line, " ."):
			line = strings.TrimSuffix(line, " .") + "x."
		default:
			for minus.MatchString(line) {
				line = minus.ReplaceAllString(line, `$1\-`)
			}
			if strings.HasPrefix(line, "T}") {
				cell = false
			}
			if i := strings.LastIndex(line, "\t"); table && !cell && i >= 0 && !strings.HasSuffix(line, "T{") {
				line = line[:i] + "\tT{\n" + line[i+1:] + "\nT}"
			}
			if strings.HasSuffix(line, "T{") {
				cell = true
			}
		}
		out.WriteString(line + "\n")
	}
	return []byte(out.String())
}
