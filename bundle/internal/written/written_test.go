package written

import (
	"strings"
	"testing"
)

const pin = "@sha256:0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0"

func TestTarget(t *testing.T) {
	tests := []struct {
		raw, registry string
		keepHost      bool
		want          string
	}{
		{"docker.io/nats:1", "reg", false, "reg/nats:1"},
		{"nats:1", "reg", false, "reg/nats:1"},
		{"nats", "reg", false, "reg/nats"},
		{"docker.io/library/nats:1", "reg:5000/apps", false, "reg:5000/apps/library/nats:1"},
		{"acme/web:1.0", "reg", false, "reg/acme/web:1.0"},
		{"ghcr.io/a/b" + pin, "reg", false, "reg/a/b" + pin},
		{"ghcr.io/a/b:1" + pin, "reg", false, "reg/a/b:1" + pin},
		{"nats" + pin, "reg", false, "reg/nats" + pin},
		{"localhost:5000/x", "reg", false, "reg/x"},
		{"localhost/x", "reg", false, "reg/x"},
		{"10.0.0.1:5000/a/b:1", "reg", false, "reg/a/b:1"},
		{"node.js:5000", "reg", false, "reg/node.js:5000"},
		{"reg/a/b:1", "reg", false, "reg/a/b:1"},
		{"reg:5000/apps/a:1", "reg:5000/apps", false, "reg:5000/apps/a:1"},
		{"reg:5000/other/a:1", "reg:5000/apps", false, "reg:5000/apps/other/a:1"},
		{"ghcr.io/a/b:1", "reg/x", true, "reg/x/ghcr.io/a/b:1"},
		{"nats:1", "reg", true, "reg/docker.io/nats:1"},
		{"docker.io/nats:1", "reg", true, "reg/docker.io/nats:1"},
		{"localhost:5000/x", "reg", true, "reg/localhost-5000/x"},
		{"reg/a/b:1", "reg", true, "reg/a/b:1"},
	}
	for _, tt := range tests {
		if got := Target(tt.raw, tt.registry, tt.keepHost); got != tt.want {
			t.Errorf("Target(%q, %q, %v) = %q, want %q", tt.raw, tt.registry, tt.keepHost, got, tt.want)
		}
	}
}

func FuzzTarget(f *testing.F) {
	for _, s := range []string{"nats", "docker.io/nats:1", "a/b@sha256:00", "localhost:5000/x", "x/y/z:1@d", "/", "@", "a:1/b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		for _, keep := range []bool{false, true} {
			got := Target(raw, "reg.local:5000/p", keep)
			if !strings.HasPrefix(got, "reg.local:5000/p/") {
				t.Errorf("Target(%q) = %q is not below the registry", raw, got)
			}
			if again := Target(got, "reg.local:5000/p", keep); again != got {
				t.Errorf("Target(%q) = %q moves on to %q", raw, got, again)
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"nginx", "nginx:1", "a.b/c", "localhost/x", "h:5000/a/b:t" + pin, "A/b", "a//b", pin} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if r := Cut(s); r.String() != s || r.Repository()+r.Suffix() != s {
			t.Errorf("%q became %q", s, r)
		}
		if r, ok := Parse(s); ok && r != Cut(s) {
			t.Errorf("%q is two things: %+v and %+v", s, r, Cut(s))
		}
	})
}

// A key of values, of an environment or of arguments says which part of a reference it
// holds, of which group, and how strongly.
func TestKeys(t *testing.T) {
	for _, tc := range []struct {
		key, group string
		part       Part
		named      bool
		strength   Strength
	}{
		{"image", "", ImagePart, true, ExactImage},
		{"imageRef", "", NoPart, false, ExactImage},
		{"sidecarImage", "sidecar", ImagePart, true, SomeImage},
		{"SIDECAR_IMAGE", "sidecar", ImagePart, true, SomeImage},
		{"--init-image", "init", ImagePart, true, SomeImage},
		{"images", "", NoPart, false, SomeImage},
		{"RELATED_IMAGE_PROXY", "", NoPart, false, MaybeImage},
		{"sidecarImageName", "sidecar", ImagePart, true, SomeImage},
		{"fooImageTag", "foo", TagPart, true, NoImage},
		{"foo_tag", "foo", TagPart, false, NoImage},
		{"imagetag", "", TagPart, true, NoImage},
		{"image.registry", "", RegistryPart, true, NoImage},
		{"hub", "", RegistryPart, false, NoImage},
		{"MONGODB_REPO_URL", "mongodb", RegistryPart, false, NoImage},
		{"jobImageRepository", "job", RepositoryPart, true, NoImage},
		{"version", "", VersionPart, false, NoImage},
		{"sha256", "", DigestPart, false, NoImage},
		{"imageDigest", "", DigestPart, true, NoImage},
		{"name", "", NamePart, false, NoImage},
		{"imagePullPolicy", "", NoPart, false, NoImage},
		{"replicas", "", NoPart, false, NoImage},
		{"", "", NoPart, false, NoImage},
	} {
		group, part, named := PartOf(tc.key)
		if group != tc.group || part != tc.part || named != tc.named || ImageKey(tc.key) != tc.strength {
			t.Errorf("%q: group %q, part %d, named %v, strength %d; want %+v", tc.key, group, part, named, ImageKey(tc.key), tc)
		}
		if NamesImage(tc.key) != (tc.strength != NoImage) {
			t.Errorf("%q: names an image: %v", tc.key, NamesImage(tc.key))
		}
	}
	if !FollowsImage("Reference") || FollowsImage("pullPolicy") {
		t.Error("what may stand below image: is not known")
	}
}

// Words keep their numbers where a reference is replaced, and have what a program fills
// in as a part of them.
func TestWords(t *testing.T) {
	for _, tc := range []struct {
		text string
		want []string
	}{
		{"--image=ghcr.io/a/b:1 --port 80", []string{"--image", "ghcr.io/a/b:1", "--port", "80"}},
		{`["docker://quay.io/a/b:1","x"]`, []string{"quay.io/a/b:1", "x"}},
		{"see https://a.example/b.", []string{"see", ""}},
		{"ghcr.io/acme/%(type)s:%(version)s, end.", []string{"ghcr.io/acme/%(type)s:%(version)s", "end"}},
		{"a/b:1{{ end }}", []string{"a/b:1", "end"}},
		{"-- / :", nil},
	} {
		var got []string
		for _, w := range Words(tc.text) {
			if tc.text[w.Start:w.End] != w.Text {
				t.Errorf("%q: word %+v is not there", tc.text, w)
			}
			got = append(got, w.Reference())
		}
		if strings.Join(got, "|") != strings.Join(tc.want, "|") || len(got) != len(tc.want) {
			t.Errorf("%q: %q, want %q", tc.text, got, tc.want)
		}
	}
}

// What looks like a reference need not be one.
func TestHosts(t *testing.T) {
	for _, tc := range []struct {
		text      string
		plausible bool // its host
		known     bool // the host serves images and nothing else
		none      bool
	}{
		{"ghcr.io/a/b:1", true, true, false},
		{"us-docker.pkg.dev/a/b:1", true, true, false},
		{"123456789012.dkr.ecr.eu-central-1.amazonaws.com/a:1", true, true, false},
		{"registry.acme.example:5000/a/b:1", true, false, false},
		{"node-role.kubernetes.io/control-plane:NoSchedule", false, false, true},
		{"acme.dev/v1beta1:Kind", true, false, true},
		{"github.com/a/b:1", false, false, false},
		{"values.yaml/a:1", false, false, false},
		{"Acme.example/a:1", false, false, false},
		{"localhost/a:1", false, false, false},
	} {
		r := Cut(tc.text)
		if PlausibleHost(r.Host) != tc.plausible || IsRegistry(r.Host) != tc.known || r.NoImage() != tc.none {
			t.Errorf("%s: plausible %v, known %v, none %v", tc.text, PlausibleHost(r.Host), IsRegistry(r.Host), r.NoImage())
		}
	}
	for text, want := range map[string]string{"quay.io": "quay.io|", "quay.io:5000": "quay.io:5000|", "quay.io/a": "quay.io|a", "localhost": "localhost|", "acme": "|acme", "acme:1": "|acme:1", "a.b@c": "|a.b@c", "a.b:x": "|a.b:x"} {
		if host, rest := CutHost(text); host+"|"+rest != want {
			t.Errorf("%s: %s|%s, want %s", text, host, rest, want)
		}
	}
	for text, want := range map[string]bool{"ghcr.io/a/%s:%s": true, "%s/a:1": false, "ghcr.io/a/b:1": false, "ghcr.io/a/$(TAG)": true} {
		if r, ok := Composed(text); ok != want || ok && r.Host != "ghcr.io" {
			t.Errorf("%s: %+v, %v", text, r, ok)
		}
	}
}
