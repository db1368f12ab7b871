package page

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/net/html"

	"bundle/bundle/internal/diff"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/trust"
)

var now = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// attacks are what a hostile bundle or file name may try.
var attacks = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onload='alert(1)`, `</style><script>`, `{{.}}`, `<!--`, `javascript:alert(1)`,
	"a\u202egnp.exe", "\u2066x\u2069", "\u200f", "a\x1b[31m\x00\r\n", "\xff\xfe", "&lt;script&gt;",
}

// hostile is a bundle with the same text at every place that takes one.
func hostile(s string) Bundle {
	f := record.Finding{Raw: s, Chart: s, Template: s, Kind: s, Path: s, Confidence: s, Keys: []string{s, s}, Answer: s}
	im := record.Image{Reference: s, Digest: digest.Digest(s), SourceDigest: digest.Digest(s), MediaType: s, Platforms: []string{s}, Destination: s, SignedBy: []string{s},
		Found: []record.Finding{f, f, f, f, {Raw: s}}}
	older := &record.Record{ID: s, Images: []record.Image{{Reference: "x" + s}, {Reference: s, Digest: "sha256:0"}}}
	setting := []diff.Value{{Key: s, State: "changed", Value: s, Previous: []any{s, map[string]any{s: s}}}, {Key: s, State: "added", Value: s}}
	changes := &diff.Report{
		Images: []diff.Image{{Reference: s, State: "added", Instead: s, Digest: digest.Digest(s), Previous: digest.Digest(s)}},
		Charts: []diff.Chart{{Name: s, State: "changed", Version: s, PreviousVersion: s, AppVersion: s, PreviousAppVersion: s + "x", Inputs: setting, Given: setting, Defaults: setting}},
	}
	attached := im
	attached.Subject = im.Digest
	return Bundle{Path: s, Signed: true, Signers: []trust.Voucher{{Fingerprint: s, KeyType: s, Comment: s, Authority: s}, {Fingerprint: "SHA256:" + s, Principals: s}},
		Older: older, Changes: changes, Record: &record.Record{
			Tool: s, ID: s, Images: []record.Image{im}, Referrers: []record.Image{attached}, Unresolved: []record.Finding{f}, Accepted: []record.Finding{f},
			Charts: []record.Chart{{Name: s, Version: s, AppVersion: s, Source: s, Digest: digest.Digest(s), Release: s, Namespace: s, KubeVersion: s,
				Values: map[string]any{s: s, "list": []any{s}}, LeftOut: []string{s}}},
		}}
}

// kept is for who looks at the pages: `make page`.
var kept = flag.String("pages", "", "write pages that are tested into this `FOLDER`")

// keep writes a page to be looked at.
func keep(t *testing.T, name, doc string) {
	t.Helper()
	if *kept == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(*kept, name+".html"), []byte(doc), 0o644); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, o Options, bundles ...Bundle) string {
	t.Helper()
	var b bytes.Buffer
	o.Now = now
	if err := Write(&b, bundles, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// shape is a page without its texts: elements with the names of their attributes, and
// what is wrong with it.
func shape(t *testing.T, doc string) (shape string) {
	t.Helper()
	var b strings.Builder
	z := html.NewTokenizer(strings.NewReader(doc))
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			return b.String()
		}
		token := z.Token()
		if kind == html.CommentToken {
			t.Errorf("comment %q", token.Data)
		}
		if kind == html.TextToken || token.Data == "span" && len(token.Attr) == 0 || kind == html.EndTagToken && token.Data == "span" {
			continue // as many spans as a fingerprint has groups
		}
		fmt.Fprintf(&b, "%d %s", kind, token.Data)
		for _, a := range token.Attr {
			fmt.Fprintf(&b, " %s", a.Key)
			if strings.HasPrefix(a.Key, "on") || a.Key == "src" || a.Key == "style" || a.Key == "href" && !strings.HasPrefix(a.Val, "#") {
				t.Errorf("<%s %s=%q>", token.Data, a.Key, a.Val)
			}
		}
		b.WriteByte('\n')
		if token.Data == "script" {
			t.Error("there is a script")
		}
	}
}

// Whatever a bundle says, the page has the same elements and no character that turns
// the direction of text or drives a terminal.
func TestHostile(t *testing.T) {
	t.Parallel()
	plain := shape(t, write(t, Options{Server: "127.0.0.1:5000"}, hostile("plain"), hostile("plain")))
	for i, s := range attacks {
		doc := write(t, Options{Server: "127.0.0.1:5000"}, hostile(s), hostile(s))
		keep(t, fmt.Sprintf("hostile-%d", i), doc)
		if got := shape(t, doc); got != plain {
			t.Errorf("%q changes what the page is made of", s)
		}
		for _, r := range doc {
			if r != '\n' && record.Printable(string(r)) != string(r) {
				t.Errorf("%q: the page has %U", s, r)
				break
			}
		}
	}
}

// The page says of a signature what was checked and no more.
func TestSignature(t *testing.T) {
	t.Parallel()
	signers := []trust.Voucher{{Fingerprint: "SHA256:45/nPnGSZpVDmFgLv7yb+MLwpwcQuaCbuCxAsYWiZkg", KeyType: "ssh-ed25519", Comment: "release"}}
	const good, unchecked, unsigned = "trusted where this page", "was not checked against a trusted key", "Not signed."
	for _, tc := range []struct {
		b    Bundle
		want string
	}{
		{Bundle{Signed: true, Checked: true, Signers: signers}, good},
		{Bundle{Signed: true, Signers: signers}, unchecked},
		{Bundle{}, unsigned},
	} {
		tc.b.Record = &record.Record{Created: now.Add(-72 * time.Hour)}
		doc := write(t, Options{}, tc.b)
		for _, s := range []string{good, unchecked, unsigned} {
			if strings.Contains(doc, s) != (s == tc.want) {
				t.Errorf("want %q; %q is there: %v", tc.want, s, s != tc.want)
			}
		}
		if !strings.Contains(doc, "3 days old") {
			t.Error("it does not say how old it is")
		}
		if tc.b.Signed && !strings.Contains(doc, "<span>SHA256:</span> <span>45/n</span> <span>PnGS</span>") {
			t.Error("the fingerprint is not in groups")
		}
	}
}

func TestAge(t *testing.T) {
	t.Parallel()
	for age, want := range map[time.Duration]string{
		0: "0 minutes old", time.Minute: "1 minute old", 3 * time.Hour: "3 hours old", 49 * time.Hour: "2 days old",
		-30 * time.Minute: "0 minutes old", -48 * time.Hour: "from the future: one of two clocks is wrong",
	} {
		if got := (Options{Now: now}).Age(now.Add(-age)); got != want {
			t.Errorf("%v: %q, want %q", age, got, want)
		}
	}
}

// Commands on the page can be pasted into a shell.
func TestShell(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a/b-1.tar": "a/b-1.tar", "my bundle.tar": "'my bundle.tar'", "$(rm -r).tar": "'$(rm -r).tar'", "it's": `'it'\''s'`, "": "''", "-x": "./-x", "a\nb": "'a\ufffdb'",
	} {
		if got := shell(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

// Ten thousand images are one page of a size that a browser shows, and ids stand once.
func TestMany(t *testing.T) {
	t.Parallel()
	rec := &record.Record{}
	for i := range 10_000 {
		ref := fmt.Sprintf("registry.example.com/team/app-%d:1.0", i)
		rec.Images = append(rec.Images, record.Image{Reference: ref, Digest: digest.FromString(ref), Platforms: []string{"linux/amd64"},
			Found: []record.Finding{{Raw: ref, Chart: "app-1", Template: "app/templates/x.yaml", Kind: "Deployment", Path: "spec.x"}}})
	}
	doc := write(t, Options{}, Bundle{Record: rec}, Bundle{Record: rec})
	keep(t, "many", doc)
	if n := len(doc); n > 20<<20 {
		t.Errorf("%d bytes", n)
	}
	if n := strings.Count(doc, "registry.example.com/team/app-9999:1.0"); n != 2 {
		t.Errorf("the last image is there %d times", n)
	}
	seen := make(map[string]bool)
	for _, m := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(doc, -1) {
		if seen[m[1]] {
			t.Errorf("id %s is there twice", m[1])
		}
		seen[m[1]] = true
	}
	for _, m := range regexp.MustCompile(` (?:href="#|aria-labelledby=")([^"]*)"`).FindAllStringSubmatch(doc, -1) {
		if !seen[m[1]] {
			t.Errorf("nothing has the id %s", m[1])
		}
	}
}

// Of several bundles, none gives a part of the page the name that a part of another
// has: who has it read aloud could not tell them apart.
func TestLandmarks(t *testing.T) {
	t.Parallel()
	one := write(t, Options{}, hostile("plain"))
	if n := strings.Count(one, "<section aria-labelledby="); n < 5 || strings.Contains(one, "<section>") {
		t.Errorf("%d parts have a name", n)
	}
	if two := write(t, Options{}, hostile("plain"), hostile("plain")); strings.Contains(two, "<section aria-labelledby=") {
		t.Error("parts of two bundles have the same name")
	}
}

// A delta is said to be one, and what it stands on is no markup.
func TestDelta(t *testing.T) {
	t.Parallel()
	d := digest.FromString("layer")
	doc := write(t, Options{}, Bundle{Record: &record.Record{Requires: &record.Requires{
		Bases:  []record.Base{{ID: "<b>x", Kind: record.BaseBundle, Created: time.Unix(1700000000, 0).UTC()}},
		Layers: []record.Layer{{Digest: d, Size: 2_500_000, Base: "<b>x"}},
	}}})
	for _, want := range []string{"This is a delta: 1 layer (2.5 MB)", "bundle &lt;b&gt;x of 2023-11-14T22:13:20Z"} {
		if !strings.Contains(doc, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

// The policy allows the style sheet as it stands in the page, and nothing else.
func TestPolicy(t *testing.T) {
	t.Parallel()
	doc := write(t, Options{}, Bundle{Record: &record.Record{}})
	_, rest, _ := strings.Cut(doc, "<style>")
	css, _, _ := strings.Cut(rest, "</style>")
	if css != style {
		t.Error("the style sheet in the page is not the one that the policy allows")
	}
	if !strings.Contains(doc, "default-src &#39;none&#39;; style-src &#39;sha256-") {
		t.Error("no policy in the head")
	}
}

// On paper text keeps its proportions: only the root has a size that is not relative,
// and rules that count in rem follow it.
func TestSizesFollowRoot(t *testing.T) {
	fixed := regexp.MustCompile(`([^{}]+)\{[^{}]*font(?:-size)?:[^;}]*[0-9](?:pt|px|mm)`).FindAllStringSubmatch(style, -1)
	if len(fixed) == 0 {
		t.Error("no size for paper")
	}
	for _, m := range fixed {
		if selector := strings.TrimSpace(m[1]); selector != "html" {
			t.Errorf("%s has a size of its own, which rem does not follow", selector)
		}
	}
}
