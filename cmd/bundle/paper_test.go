package main

import (
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// Lines are broken at blanks and nowhere else, whatever the width.
func TestWrap(t *testing.T) {
	const line = "  helm upgrade --install operator oci://registry.plant.local:5000/apps/charts/operator --version 2.7.0 -f out/operator/values.yaml"
	for width := 20; width <= 300; width++ {
		got := wrap(line, width, "", "")
		for _, l := range strings.Split(got, "\n") {
			if utf8.RuneCountInString(l) > width && len(strings.Fields(l)) > 1 {
				t.Errorf("width %d: %q", width, l)
			}
		}
		if strings.Join(strings.Fields(got), " ") != strings.TrimSpace(line) {
			t.Errorf("width %d: words are lost: %q", width, got)
		}
	}
	if got := wrap("short", 20, "", ""); got != "short" {
		t.Errorf("%q", got)
	}
}

// What help says of a command is broken anew where the window is narrower, and what is
// indented is left alone.
func TestProse(t *testing.T) {
	const list = "  images:\n    - match: ghcr.io/acme/**    # * within a part of the path"
	for width := 20; width <= 100; width++ {
		for _, c := range newRoot(io.Discard).Commands() {
			if !c.Runnable() {
				continue // a page
			}
			got := prose(c.Long+"\n\n"+list, width)
			for _, l := range strings.Split(strings.TrimSuffix(got, list), "\n") {
				if utf8.RuneCountInString(l) > width && len(strings.Fields(l)) > 1 && !strings.HasPrefix(l, " ") {
					t.Errorf("%s at width %d: %q", c.Name(), width, l)
				}
			}
			if !strings.HasSuffix(got, "\n\n"+list) || !slices.Equal(strings.Fields(got), strings.Fields(c.Long+" "+list)) {
				t.Errorf("%s at width %d: got\n%s", c.Name(), width, got)
			}
		}
	}
}

// A command that is wrapped is still one.
func TestCommand(t *testing.T) {
	var out strings.Builder
	p := paper{&out, 40}
	if err := p.command("  ", "kubectl create secret docker-registry regcred --namespace plant"); err != nil {
		t.Fatal(err)
	}
	const want = "  kubectl create secret \\\n      docker-registry regcred \\\n      --namespace plant\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// A table has columns where they fit, and lines where they do not.
func TestTable(t *testing.T) {
	head := []string{"IMAGE", "SIZE", "PLATFORMS"}
	rows := [][]string{{"ghcr.io/acme/gateway:2.7.0", "1.0 MB", "linux/amd64,linux/arm64"}, {"b:1", "2 B", "-"}}
	for width, want := range map[int]string{
		0: "IMAGE                       SIZE    PLATFORMS\n" +
			"ghcr.io/acme/gateway:2.7.0  1.0 MB  linux/amd64,linux/arm64\n" +
			"b:1                         2 B     -\n",
		50: "ghcr.io/acme/gateway:2.7.0\n    size 1.0 MB  platforms linux/amd64,linux/arm64\nb:1\n    size 2 B\n",
		30: "ghcr.io/acme/gateway:2.7.0\n    size 1.0 MB\n    platforms linux/amd64,linux/arm64\nb:1\n    size 2 B\n",
	} {
		var out strings.Builder
		paper{&out, width}.table(head, rows)
		if out.String() != want {
			t.Errorf("width %d: got\n%s\nwant\n%s", width, out.String(), want)
		}
	}
}
