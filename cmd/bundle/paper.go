package main

import (
	"io"
	"strings"
	"unicode/utf8"
)

// A paper is what a report is written on: a terminal, where lines that are too long
// are wrapped at blanks, or anything else, where they may have any length so that
// programs can take them apart.
type paper struct {
	w     io.Writer
	width int // columns of the terminal; 0: none
}

// Write implements io.Writer. What is written ends with a line.
func (p paper) Write(b []byte) (int, error) {
	if p.width == 0 {
		return p.w.Write(b)
	}
	var out strings.Builder
	for line := range strings.Lines(string(b)) {
		text, ended := strings.CutSuffix(line, "\n")
		out.WriteString(wrap(text, p.width, "", ""))
		if ended {
			out.WriteByte('\n')
		}
	}
	if _, err := io.WriteString(p.w, out.String()); err != nil {
		return 0, err
	}
	return len(b), nil
}

// command writes a command that people copy: where it has to be wrapped, it stays
// one.
func (p paper) command(indent, text string) error {
	line := indent + text
	if p.width > 0 {
		line = wrap(line, p.width-2, " \\", indent+"    ")
	}
	_, err := io.WriteString(p.w, line+"\n")
	return err
}

// wrap breaks a line at blanks. What is broken off ends with more, and the next
// begins with indent, or four columns further in than the line. A word that is too
// long by itself stays whole.
func wrap(line string, width int, more, indent string) string {
	if utf8.RuneCountInString(line) <= width {
		return line
	}
	words := strings.Fields(line)
	lead := line[:len(line)-len(strings.TrimLeft(line, " "))]
	if indent == "" {
		indent = lead + "    "
	}
	var out strings.Builder
	out.WriteString(lead)
	column := utf8.RuneCountInString(lead)
	for i, w := range words {
		n := utf8.RuneCountInString(w)
		switch {
		case i == 0:
		case column+1+n > width:
			out.WriteString(more + "\n" + indent)
			column = utf8.RuneCountInString(indent)
		default:
			out.WriteByte(' ')
			column++
		}
		out.WriteString(w)
		column += n
	}
	return out.String()
}

// table writes rows of equal length in columns. Where they do not fit, each row
// takes several lines: its first cell, and then the others, with what heads them.
func (p paper) table(head []string, rows [][]string) {
	all := rows
	if head != nil {
		all = append([][]string{head}, rows...)
	}
	if len(all) == 0 {
		return
	}
	widths := make([]int, len(all[0]))
	for _, row := range all {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	total := 2 * (len(widths) - 1)
	for _, n := range widths {
		total += n
	}
	var out strings.Builder
	if p.width > 0 && total > p.width {
		for _, row := range rows {
			stack(&out, head, row, p.width)
		}
	} else {
		for _, row := range all {
			var line strings.Builder
			for i, cell := range row {
				line.WriteString(cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
			out.WriteString(strings.TrimRight(line.String(), " ") + "\n")
		}
	}
	_, _ = io.WriteString(p.w, out.String()) // standard output remembers that it failed
}

// stack writes one row on several lines.
func stack(out *strings.Builder, head, row []string, width int) {
	out.WriteString(row[0] + "\n")
	const indent = "    "
	line := indent
	for i, cell := range row[1:] {
		if cell == "" || cell == "-" {
			continue
		}
		if head != nil {
			cell = strings.ToLower(head[i+1]) + " " + cell
		}
		switch {
		case line == indent:
			line += cell
		case utf8.RuneCountInString(line)+2+utf8.RuneCountInString(cell) <= width:
			line += "  " + cell
		default:
			out.WriteString(line + "\n")
			line = indent + cell
		}
	}
	if line != indent {
		out.WriteString(line + "\n")
	}
}
