package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// withMan lets help write manual pages, too. Guides are Markdown already, of which a
// release makes pages.
func withMan(help *cobra.Command) *cobra.Command {
	man, show := false, help.RunE
	help.Flags().BoolVar(&man, "man", false, "write a manual page, for man -l -")
	help.RunE = func(cmd *cobra.Command, args []string) error {
		found, rest, err := cmd.Root().Find(args)
		if man && err == nil && len(rest) == 0 && (found.Runnable() || found.HasSubCommands()) {
			return manPage(cmd.OutOrStdout(), found)
		}
		return show(cmd, args)
	}
	return help
}

// manPage writes the help of a command as a manual page, for man -l.
func manPage(w io.Writer, cmd *cobra.Command) error {
	made, err := created()
	if err != nil {
		return err
	}
	date := ""
	if !made.IsZero() {
		date = made.UTC().Format("2006-01-02")
	}
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	fmt.Fprintf(w, ".TH %s 1 \"%s\" \"%s\" \"User commands\"\n.nh\n.ad l\n", strings.ToUpper(roff(name)), date, roff(toolName()))
	fmt.Fprintf(w, ".SH NAME\n%s \\- %s\n", roff(name), roff(cmd.Short))
	usage := strings.TrimPrefix(strings.TrimSuffix(cmd.UseLine(), " [flags]"), cmd.CommandPath())
	if !cmd.HasParent() {
		usage = " COMMAND"
	}
	fmt.Fprintf(w, ".SH SYNOPSIS\n\\fB%s\\fR%s\n", roff(cmd.CommandPath()), roff(usage))
	fmt.Fprint(w, ".SH DESCRIPTION\n")
	paragraphs(w, cmp.Or(cmd.Long, cmd.Short+"."))
	if cmd.Example != "" {
		fmt.Fprint(w, ".SH EXAMPLES\n")
		verbatim(w, strings.Split(cmd.Example, "\n"))
	}
	fmt.Fprint(w, ".SH OPTIONS\n")
	for _, g := range flagGroups(cmd) {
		manFlags(w, g)
	}
	if !cmd.HasParent() {
		_, codes, _ := strings.Cut(exitCodes, "\n")
		fmt.Fprint(w, ".SH EXIT STATUS\n")
		verbatim(w, strings.Split(codes, "\n"))
	}
	fmt.Fprint(w, ".SH SEE ALSO\n")
	seeAlso(w, cmd)
	return nil
}

// manFlags writes a group of flags.
func manFlags(w io.Writer, g flagGroup) {
	if !g.flags.HasAvailableFlags() {
		return
	}
	fmt.Fprintf(w, ".SS %s\n", roff(g.title))
	g.flags.VisitAll(func(f *pflag.Flag) {
		placeholder, text := flagText(f)
		name := `\fB` + roff("--"+f.Name) + `\fR`
		if f.Shorthand != "" {
			name = `\fB` + roff("-"+f.Shorthand) + `\fR, ` + name
		}
		if f.NoOptDefVal != "" && f.Value.Type() != "bool" {
			name += `[=\fI` + roff(placeholder) + `\fR]`
		} else if placeholder != "" {
			name += ` \fI` + roff(placeholder) + `\fR`
		}
		fmt.Fprintf(w, ".TP\n%s\n%s\n", name, roff(text))
	})
}

// seeAlso names the pages of all commands in that of the program, and that one in
// theirs.
func seeAlso(w io.Writer, cmd *cobra.Command) {
	if cmd.HasParent() {
		fmt.Fprintf(w, "\\fB%s\\fR(1)\n", roff(cmd.Root().Name()))
		return
	}
	var pages []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			pages = append(pages, `\fB`+roff(cmd.Name()+"-"+c.Name())+`\fR(1)`)
		}
	}
	for _, t := range topics {
		if strings.HasSuffix(t.file, ".md") {
			pages = append(pages, `\fB`+roff(cmd.Name()+"-"+t.name)+`\fR(7)`)
		}
	}
	fmt.Fprintln(w, strings.Join(pages, ",\n"))
}

// paragraphs writes text; what is indented stays as it is.
func paragraphs(w io.Writer, text string) {
	for block := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		lines := strings.Split(block, "\n")
		if strings.HasPrefix(block, " ") {
			verbatim(w, lines)
			continue
		}
		fmt.Fprint(w, ".PP\n")
		for _, line := range lines {
			fmt.Fprintln(w, roff(line))
		}
	}
}

// verbatim writes lines as they are, in letters of one width.
func verbatim(w io.Writer, lines []string) {
	fmt.Fprint(w, ".PP\n.nf\n")
	for _, line := range lines {
		fmt.Fprintln(w, roff(line))
	}
	fmt.Fprint(w, ".fi\n")
}

// roff writes text so that a formatter takes it for nothing else. Characters that
// it would make prettier are those that people copy into a shell.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", "\\`", "^", `\(ha`, "~", `\(ti`, `"`, `\(dq`).Replace(text)
	if strings.HasPrefix(text, ".") {
		text = `\&` + text
	}
	return text
}
