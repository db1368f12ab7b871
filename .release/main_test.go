package main

import (
	"os"
	"strings"
	"testing"
	"time"
)

// Versions of packages have an order that holds.
func TestPackageVersion(t *testing.T) {
	for version, want := range map[string]string{
		"v1.2.3":                   "1.2.3",
		"1.2.3":                    "1.2.3",
		"v1.2.3-rc.1":              "1.2.3~rc.1",
		"v1.2.3-rc-1":              "1.2.3~rc.1",
		"v1.2.3-4-gabcdef0":        "1.2.3+4.gabcdef0",
		"v1.2.3-rc.1-4-gabcdef0":   "1.2.3~rc.1+4.gabcdef0",
		"v1.2.3-dirty":             "1.2.3+dirty",
		"v1.2.3-4-gabcdef0-dirty":  "1.2.3+4.gabcdef0+dirty",
		"abcdef0":                  "0~git20260102.abcdef0",
		"1234567":                  "0~git20260102.1234567",
		"abcdef0-dirty":            "0~git20260102.abcdef0+dirty",
		"dev":                      "0~git20260102.dev",
		"nightly-4-gabcdef0":       "0~git20260102.nightly.4.gabcdef0",
		"v1.2.3+build.5-2-gabcdef": "1.2.3+build.5+2.gabcdef",
	} {
		if got := packageVersion(version, "20260102"); got != want {
			t.Errorf("%s: %s, want %s", version, got, want)
		}
	}
}

// A guide becomes a manual page: title, chapters, links, tables; a minus stays one.
func TestGuide(t *testing.T) {
	r := release{version: "v1.2.3", made: time.Unix(86400, 0).UTC()}
	guide := "# Carry it\n\nSee [the media](media.md), `--json`.\n\n## First\n\n    bundle x --y-z\n\n### Deeper\n\n```\n## no title\n```\n\n| a | b |\n|---|---|\n| `--one` | two-three |\n"
	page := string(r.guide("bundle-quickstart", []byte(guide)))
	for _, want := range []string{
		".TH BUNDLE-QUICKSTART 7 \"1970-01-02\" \"bundle v1.2.3\" \"Guides\"\n.nh\n", "bundle\\-quickstart \\- Carry it\n",
		"the media (\\fBbundle\\-media\\fP(7))", "\\fB\\-\\-json\\fR", ".SH First\n", "bundle x \\-\\-y\\-z\n", ".SS Deeper\n", "## no title\n",
		"l lx.\n", "\\fB\\-\\-one\\fR\tT{\ntwo\\-three\nT}\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not in the page:\n%s", want, page)
		}
	}
	if strings.Contains(page, "media.md") || strings.Contains(page, ".SH Carry it") {
		t.Errorf("the title or a file is left in the page:\n%s", page)
	}
}

// Outside of Git, what is released has to be said.
func TestPrepare(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "")
	r := release{version: "v1", commit: "abc", out: t.TempDir()}
	if _, err := r.prepare([]string{"linux/amd64"}); err == nil || !strings.Contains(err.Error(), "SOURCE_DATE_EPOCH=") {
		t.Errorf("without a time: %v", err)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "86400")
	for _, names := range [][]string{nil, {"linux"}} {
		if _, err := r.prepare(names); err == nil {
			t.Errorf("platforms %q are accepted", names)
		}
	}
	if _, err := r.prepare([]string{"linux/amd64"}); err != nil || !r.made.Equal(time.Unix(86400, 0)) {
		t.Errorf("%v, %v", r.made, err)
	}
	if st, err := os.Stat(r.out); err != nil || !st.IsDir() {
		t.Error(err)
	}
}

// The image has Mozilla's authorities, and every one in whole.
func TestAuthorities(t *testing.T) {
	if n := strings.Count(string(authorities()), "-----BEGIN CERTIFICATE-----\n"); n < 80 {
		t.Errorf("only %d authorities", n)
	}
}
