package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"bundle/bundle/reports"
)

// printParts says what was there of a bundle in parts, and what is wrong with it.
func printParts(w io.Writer, p *reports.PartsReport) {
	if p == nil {
		return
	}
	fmt.Fprintf(w, "in parts: %s\n", partsHere(p))
	for _, line := range p.Problems {
		fmt.Fprintf(w, "  beware: %s\n", line)
	}
}

// partsHere says how many parts there are, and which are missing.
func partsHere(p *reports.PartsReport) string {
	text := fmt.Sprintf("%d of %d are here", p.Count-len(p.Missing), p.Count)
	if len(p.Missing) > 0 {
		text += ", missing " + numbers(p.Missing)
	}
	if p.Parity > 0 {
		text += fmt.Sprintf("; %d more may be lost", p.Spare)
	}
	return text
}

// numbers lists numbers.
func numbers(list []int) string {
	text := make([]string, len(list))
	for i, n := range list {
		text[i] = strconv.Itoa(n)
	}
	return strings.Join(text, ", ")
}
