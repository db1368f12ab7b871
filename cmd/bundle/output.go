package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"bundle/bundle"
	"bundle/bundle/reports"
)

// A view is a report in the words of people: what a query answers goes to
// standard output, what is told of work to standard error.
type view struct {
	out, err paper
}

// output prints a report: as JSON where that was asked for, else with human; with
// -q, only what terse prints, if it is not nil. It hands on err, so that a report
// beside an error is not lost.
func output(cmd *cobra.Command, report any, human func(view), terse func(io.Writer), err error) error {
	if asJSON(cmd) {
		switch werr := printJSON(cmd, report, err); {
		case err == nil:
			return werr
		case werr != nil:
			return err // standard output has noted the other
		}
		return &said{err}
	}
	v := view{
		out: paper{plainText{cmd.OutOrStdout()}, columns(cmd.OutOrStdout())},
		err: paper{plainText{cmd.ErrOrStderr()}, columns(cmd.ErrOrStderr())},
	}
	quiet, _ := cmd.Flags().GetBool("quiet")
	switch {
	case !quiet:
		human(v)
	case terse != nil:
		terse(v.out)
	}
	return err
}

func asJSON(cmd *cobra.Command) bool {
	b, _ := cmd.Flags().GetBool("json")
	return b
}

// said is an error that the JSON report on standard output has told.
type said struct{ error }

func (s *said) Unwrap() error { return s.error }

// untold returns the error itself, and whether it was said in JSON.
func untold(err error) (error, bool) {
	if t, ok := err.(*said); ok {
		return t.error, true
	}
	return err, false
}

// A header begins every report for programs.
type header struct {
	SchemaVersion int    `json:"schemaVersion"` // of the words below, see bundle help scripting
	Command       string `json:"command"`       // export, import, …
}

// A failure says what ended a command, or left it incomplete.
type failure struct {
	Code    int            `json:"code"`    // the exit code
	Kind    string         `json:"kind"`    // failed, usage, untrusted, damaged, refused, incomplete, needs more, undoing, interrupted
	Message string         `json:"message"` // as people are told
	Hint    string         `json:"hint"`    // what to do next; may be empty
	Items   []reports.Item `json:"items"`   // what it is about, one by one, where it is about several things
}

func failureOf(err error) *failure {
	kind := bundle.KindOf(err)
	return &failure{
		Code:    kind.Code(),
		Kind:    kind.String(),
		Message: printable(message(err)),
		Hint:    printable(people(bundle.Hint(err))),
		Items:   bundle.Items(err),
	}
}

// printJSON writes one object: the header, the report and, where there is one, the
// error.
func printJSON(cmd *cobra.Command, report any, err error) error {
	if report != nil {
		reports.Complete(report)
	}
	parts := []any{header{reports.SchemaVersion, cmd.Name()}, report}
	if err != nil {
		f := failureOf(err)
		reports.Complete(f)
		parts = append(parts, struct {
			Error *failure `json:"error"`
		}{f})
	}
	var all bytes.Buffer
	for _, part := range parts {
		b, err := json.Marshal(part)
		if err != nil {
			return err
		}
		if inside := strings.Trim(string(b), "{}"); part == nil || inside == "" {
			continue
		}
		if all.Len() > 0 {
			all.WriteByte(',')
		}
		all.Write(b[1 : len(b)-1])
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte("{"+all.String()+"}"), "", "  "); err != nil {
		return err
	}
	indented.WriteByte('\n')
	_, werr := cmd.OutOrStdout().Write(indented.Bytes())
	return werr
}

// plainText writes text for people: charts, bundles and registries have a say in
// it, and a terminal obeys some characters.
type plainText struct{ w io.Writer }

func (p plainText) Write(b []byte) (int, error) {
	if _, err := io.WriteString(p.w, printable(people(string(b)))); err != nil {
		return 0, err
	}
	return len(b), nil
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

var (
	// userinfo is a user name and password in a URL, as it was given where none
	// belongs.
	userinfo = regexp.MustCompile(`(://)[^/\s"']*@`)
	// packed is how a bundle calls a chart that comes from no registry.
	packed = regexp.MustCompile(`bundle\.invalid/charts/([^\s:]+):([^\s:,()]+)`)
)

// people writes names that a bundle has for itself as people know them.
func people(s string) string { return packed.ReplaceAllString(s, "chart $1 $2") }

// message is the text of an error.
func message(err error) string {
	if bundle.KindOf(err) == bundle.Interrupted {
		return "interrupted, nothing was left half written under its name"
	}
	return people(userinfo.ReplaceAllString(err.Error(), "$1"))
}

// printError says what went wrong and, on a line of its own, what to do next.
// Messages are lowercase sentences without a full stop, and never a trace. args
// tell what was asked for where the flags could not be read.
func printError(cmd *cobra.Command, args []string, err error) {
	w := plainText{cmd.ErrOrStderr()}
	err, known := untold(err)
	if !known && (asJSON(cmd) || slices.Contains(args, "--json")) {
		_ = printJSON(cmd, nil, err) // it is said on standard error in any case
	}
	p := paper{w, columns(cmd.ErrOrStderr())}
	fmt.Fprintf(p, "bundle: %s\n", message(err))
	if h := bundle.Hint(err); h != "" {
		fmt.Fprintf(p, "  hint: %s\n", strings.ReplaceAll(h, "\n", "\n        "))
	}
}

// columns is the width of the terminal that w is; 0 for anything else, and for one
// that says nothing of itself.
func columns(w io.Writer) int {
	f, ok := plainStdout(w).(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return 0
	}
	n, _, err := term.GetSize(int(f.Fd()))
	if err != nil || n <= 0 {
		return 0
	}
	return max(n, 20)
}
