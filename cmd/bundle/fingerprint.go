package main

import (
	"fmt"
	"strings"
)

// printFingerprint tells a fingerprint twice: as programs show it, and in groups
// that one person reads aloud and another writes down.
func printFingerprint(p paper, before, fingerprint string) {
	fmt.Fprintf(p, "%s%s\n", before, fingerprint)
	fmt.Fprintf(p, "  to read aloud: %s\n", inGroups(fingerprint))
}

// inGroups parts the letters of a fingerprint into fours. --fingerprint takes it
// with the blanks.
func inGroups(fingerprint string) string {
	label, letters, ok := strings.Cut(fingerprint, ":")
	if !ok {
		return fingerprint
	}
	var groups []string
	for len(letters) > 4 {
		groups = append(groups, letters[:4])
		letters = letters[4:]
	}
	return label + ": " + strings.Join(append(groups, letters), " ")
}
