package checksum

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bundle/testdata/judge"
)

const (
	hexA = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb" // sha256 of "a"
	hexB = "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d" // sha256 of "b"
)

func TestFormat(t *testing.T) {
	sums := Sums{
		{"oci-layout", sha256.Sum256([]byte("b"))},
		{"blobs/sha256/" + hexA, sha256.Sum256([]byte("a"))},
		{"index.json", sha256.Sum256([]byte("a"))},
		{"a file with blanks, *!", sha256.Sum256([]byte("b"))},
	}
	given := slices.Clone(sums)
	want := hexB + "  a file with blanks, *!\n" +
		hexA + "  blobs/sha256/" + hexA + "\n" +
		hexA + "  index.json\n" +
		hexB + "  oci-layout\n"
	if got := string(sums.Format()); got != want {
		t.Errorf("Format:\n%s\nwant:\n%s", got, want)
	}
	if diff := cmp.Diff(given, sums); diff != "" {
		t.Errorf("Format changed the order of its receiver:\n%s", diff)
	}
	if err := sums.Validate(); err != nil {
		t.Errorf("Validate: %v", err)
	}
	parsed, err := parse([]byte(want))
	if err != nil {
		t.Fatalf("Walk: %v", err)
	}
	if diff := cmp.Diff(sums.sorted(), parsed); diff != "" {
		t.Errorf("Walk of Format (-given +got):\n%s", diff)
	}
}

func TestWalkRefuses(t *testing.T) {
	a, b := hexA+"  a\n", hexB+"  b\n"
	tests := []struct {
		name, in string
		line     int
		what     string // part of the message
	}{
		{"nothing", "", 0, "empty"},
		{"no newline at the end", a + strings.TrimSpace(b), 2, "no newline"},
		{"CRLF", hexA + "  a\r\n", 1, "0x0d"},
		{"empty line", a + "\n" + b, 2, "not 64"},
		{"empty line at the end", a + b + "\n", 3, "not 64"},
		{"comment", "# " + a, 1, "not 64"},
		{"garbage after the last line", a + "x", 2, "no newline"},
		{"leading blank", " " + a, 1, "not 64"},
		{"byte order mark", "\ufeff" + a, 1, "not 64"},
		{"upper-case digits", strings.ToUpper(hexA) + "  a\n", 1, "upper-case"},
		{"63 digits", hexA[1:] + "  a\n", 1, "not 64"},
		{"65 digits", "0" + a, 1, "not 64"},
		{"no digit", "g" + a[1:], 1, "not 64"},
		{"one space", hexA + " a\n", 1, "not 64"},
		{"tab", hexA + "\t a\n", 1, "not 64"},
		{"binary mode", hexA + " *a\n", 1, "not 64"},
		{"tagged form", "SHA256 (a) = " + hexA + "\n", 1, "not 64"},
		{"quoted name", `\` + hexA + `  a\nb` + "\n", 1, "not 64"},
		{"no name", hexA + "  \n", 1, "not 64"},
		{"not sorted", b + a, 2, "not sorted"},
		{"twice the same", a + a, 2, "twice"},
		{"twice with other digests", a + hexB + "  a\n", 2, "twice"},
		{"backslash", hexA + `  a\b` + "\n", 1, "0x5c"},
		{"control character", hexA + "  a\x1b[2Jb\n", 1, "0x1b"},
		{"NUL", hexA + "  a\x00\n", 1, "0x00"},
		{"DEL", hexA + "  a\x7f\n", 1, "0x7f"},
		{"not ASCII", hexA + "  ä\n", 1, "0xc3"},
		{"absolute", hexA + "  /etc/passwd\n", 1, "relative"},
		{"out of the folder", hexA + "  ../a\n", 1, "relative"},
		{"out of the folder, later", hexA + "  a/../../b\n", 1, "relative"},
		{"dot", hexA + "  .\n", 1, "relative"},
		{"dot inside", hexA + "  a/./b\n", 1, "relative"},
		{"folder", hexA + "  a/\n", 1, "relative"},
		{"empty element", hexA + "  a//b\n", 1, "relative"},
		{"standard input", hexA + "  -\n", 1, "relative"},
		{"long name", hexA + "  " + strings.Repeat("n", MaxName+1) + "\n", 1, "256 bytes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			sums, err := parse([]byte(test.in))
			var format *FormatError
			if !errors.As(err, &format) {
				t.Fatalf("got %v and error %v, want a FormatError", sums, err)
			}
			if format.Line != test.line || !strings.Contains(format.Error(), test.what) {
				t.Errorf("got line %d: %v, want line %d and %q", format.Line, err, test.line, test.what)
			}
		})
	}
	_, err := parse(make([]byte, MaxSize+1))
	var format *FormatError
	if !errors.As(err, &format) || format.Line != 0 || !strings.Contains(format.Error(), "at most") {
		t.Errorf("large: got %v", err)
	}
}

func TestValidateRefuses(t *testing.T) {
	many := make(Sums, MaxSize/(hexLen+len(separator)+MaxName+1)+1)
	text := make([]byte, len(many)+MaxName) // names are pieces of it: all together are large
	for i, random := range rand.New(rand.NewPCG(1, 2)).Perm(len(text)) {
		text[i] = 'a' + byte(random%26)
	}
	names := string(text)
	for i := range many {
		many[i].Name = names[i : i+MaxName]
	}
	tests := []struct {
		name string
		sums Sums
	}{
		{"nothing", nil},
		{"name missing", Sums{{}}},
		{"newline", Sums{{Name: "a\nb"}}},
		{"twice, not side by side", Sums{{Name: "b"}, {Name: "a"}, {Name: "b"}}},
		{"larger than Walk reads", many},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var format *FormatError
			if err := test.sums.Validate(); !errors.As(err, &format) {
				t.Errorf("got %v, want a FormatError", err)
			}
			if got, err := parse(test.sums.Format()); err == nil {
				t.Errorf("Walk takes what Validate refuses: %v", got)
			}
		})
	}
}

// sha256sum is the tool people check with, so it must take every name that
// Walk takes.
func TestSha256sumReadsFormat(t *testing.T) {
	sha256sum := judge.Path(t, "sha256sum")
	dir := t.TempDir()
	names := []string{"index.json", "blobs/sha256/" + hexA, " leading", "trailing ", "*star", "#hash",
		"two  blanks", "-dash", "'quote\"", "$(x)`y`", "~", strings.Repeat("n", MaxName)}
	var sums Sums
	for _, name := range names {
		content := []byte("content of " + name)
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, dir, name, content)
		sums = append(sums, Sum{name, sha256.Sum256(content)})
	}
	if err := sums.Validate(); err != nil {
		t.Fatal(err)
	}
	manifest := sums.Format()
	writeFile(t, dir, "SHA256SUMS", manifest)
	mustRun(t, dir, nil, sha256sum, "--check", "--strict", "--quiet", "SHA256SUMS")

	writeFile(t, dir, "index.json", []byte("changed"))
	if out, ok := run(t, dir, nil, sha256sum, "--check", "--strict", "--quiet", "SHA256SUMS"); ok {
		t.Errorf("sha256sum accepts changed content:\n%s", out)
	}
	// And the other way round: what it writes for sorted plain names is
	// canonical.
	written := mustRun(t, dir, nil, sha256sum, "#hash", "blobs/sha256/"+hexA, "index.json")
	if _, err := parse([]byte(written)); err != nil {
		t.Errorf("Walk of sha256sum's own output: %v\n%s", err, written)
	}
}

func FuzzWalk(f *testing.F) {
	f.Add([]byte(hexA + "  a\n" + hexB + "  b\n"))
	f.Add([]byte(hexA + "  blobs/sha256/" + hexA + "\n"))
	f.Add([]byte(hexA + " *a\n"))
	f.Add([]byte(hexB + "  b\n" + hexA + "  a\n"))
	f.Add([]byte("\\" + hexA + "  a\\nb\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		sums, err := parse(b)
		if err != nil {
			var format *FormatError
			if !errors.As(err, &format) {
				t.Fatalf("error of type %T: %v", err, err)
			}
			return
		}
		if got := sums.Format(); !bytes.Equal(got, b) {
			t.Fatalf("Format of what Walk visits = %q, b = %q", got, b)
		}
		if err := sums.Validate(); err != nil {
			t.Fatalf("Validate after Walk: %v", err)
		}
	})
}
