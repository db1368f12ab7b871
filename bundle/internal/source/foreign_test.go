package source

import (
	"reflect"
	"strings"
	"testing"

	yaml "gopkg.in/yaml.v3"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/image"
)

const haulerText = `# what hauler reads
apiVersion: content.hauler.cattle.io/v1
kind: Images
metadata:
  name: some
  annotations:
    hauler.dev/registry: mirror.example.com
    hauler.dev/key: release.pub
spec:
  images:
    - name: library/nginx:1.27
      platform: linux/amd64
    - name: ghcr.io/a/b@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
      platform: linux/amd64
      rewrite: my/b
---
apiVersion: content.hauler.cattle.io/v1alpha1
kind: Charts
spec:
  charts:
    - {name: rancher, repoURL: 'https://releases.example.com/stable', version: 2.8.2, add-images: true}
    - {name: app, repoURL: 'oci://ghcr.io/acme/charts', version: 1.10}
    - {name: chart, repoURL: ., verify: true, keyring: k}
---
apiVersion: content.hauler.cattle.io/v1
kind: Files
spec:
  files: [{path: a}, {path: b}]
`

const zarfText = `kind: ZarfPackageConfig
metadata: {name: pkg, architecture: arm64}
variables: [{name: X}]
components:
  - name: one
    required: true
    only: {flavor: upstream}
    images: ['docker.io/library/nginx:1.27', 'ghcr.io/a/b:1']
    repos: ['https://example.com/x.git']
    actions: {onDeploy: {after: [{cmd: echo}]}}
    charts:
      - {name: podinfo-oci, version: 6.4.0, namespace: pods, url: 'oci://ghcr.io/x/charts/podinfo', valuesFiles: [v.yaml]}
      - {name: repo, version: 1.0.0, namespace: n, url: 'https://x.example.com', repoName: podinfo, releaseName: rel, variables: [{name: X, path: a}]}
      - {name: local, namespace: n, localPath: chart, version: 9.9.9}
      - {name: git, namespace: n, url: 'https://example.com/x.git', gitPath: charts/x}
`

func TestForeignLists(t *testing.T) {
	for _, tc := range []struct {
		text string
		want Config
	}{
		{haulerText, Config{
			Charts: []ChartSpec{
				{Ref: "rancher", Repo: "https://releases.example.com/stable", Version: "2.8.2"},
				{Ref: "oci://ghcr.io/acme/charts/app", Version: "1.10"},
				{Ref: "chart"},
			},
			Images:    []ImageSpec{{Source: "mirror.example.com/library/nginx:1.27"}, {Source: "ghcr.io/a/b@sha256:" + strings.Repeat("a", 64)}},
			Platforms: []image.Platform{{OS: "linux", Architecture: "amd64"}},
			NotTaken: []string{"hauler annotation: hauler.dev/key", "image ghcr.io/a/b@sha256:" + strings.Repeat("a", 64) + ": rewrite",
				"chart chart: verify", "chart chart: keyring", "2 of hauler's Files"},
		}},
		{zarfText, Config{
			Charts: []ChartSpec{
				{Ref: "oci://ghcr.io/x/charts/podinfo", Version: "6.4.0", Namespace: "pods", Release: "podinfo-oci", ValueFiles: []string{"v.yaml"}},
				{Ref: "podinfo", Repo: "https://x.example.com", Version: "1.0.0", Namespace: "n", Release: "rel"},
				{Ref: "chart", Namespace: "n", Release: "local"},
			},
			Images:    []ImageSpec{{Source: "docker.io/library/nginx:1.27"}, {Source: "ghcr.io/a/b:1"}},
			Platforms: []image.Platform{{OS: "linux", Architecture: "arm64"}},
			NotTaken: []string{"zarf: variables", "component one: only", "component one: repos", "component one: actions",
				"component one, chart repo: variables", "component one, chart git: charts in git repositories"},
		}},
		{"apiVersion: content.hauler.cattle.io/v1\nkind: Images\nspec: {images: [{name: 'a/b:1', platform: linux/amd64}, {name: 'a/c:1'}]}\n", Config{
			Images:   []ImageSpec{{Source: "a/b:1"}, {Source: "a/c:1"}},
			NotTaken: []string{"platforms of single images: --platform is for all"},
		}},
	} {
		got, err := parseConfig([]byte(tc.text), "list.yaml")
		if err != nil {
			t.Error(err)
			continue
		}
		for i := range tc.want.NotTaken {
			tc.want.NotTaken[i] = "list.yaml: not taken: " + tc.want.NotTaken[i]
		}
		if !reflect.DeepEqual(*got, tc.want) {
			t.Errorf("got  %+v\nwant %+v", *got, tc.want)
		}
	}
}

func TestForeignListsRefused(t *testing.T) {
	const images = "apiVersion: content.hauler.cattle.io/v1\nkind: Images\nspec:\n  images:\n"
	for text, want := range map[string]string{
		images + "    - name: a/b:${TAG}\n": "line 5: \"a/b:${TAG}\" is filled in",
		images + "    - name: A/B:1\n":      "line 5",
		images + "    - platform: x\n":      "an image without a name",
		"apiVersion: content.hauler.cattle.io/v1\nkind: Files\nspec: {files: [{path: a}]}\n":                                     "neither charts nor images",
		"kind: ZarfPackageConfig\ncomponents: [{name: a, images: ['x/y:###ZARF_PKG_TMPL_TAG###']}]\n":                            "is filled in by another tool",
		"kind: ZarfPackageConfig\ncomponents: [{name: a, charts: [{name: c, version: 1.0.0}]}]\n":                                "neither url nor localPath",
		"kind: ZarfPackageConfig\ncomponents: [{name: a, charts: [{name: c, localPath: c, valuesFiles: ['https://x/v.yaml']}]}]": "values over the network",
		images + "    - name: a/b:1\n---\n: : :\n\t-":                                                                            "yaml",
	} {
		if _, err := parseConfig([]byte(text), "list.yaml"); fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n%v, want %s", text, err, want)
		}
	}
}

// What is written is read again as the same charts and images.
func TestWriteList(t *testing.T) {
	charts := []Listed{
		{ChartSpec{Ref: "oci://ghcr.io/acme/charts/app:1.0.0", Namespace: "n", ValueFiles: []string{"v.yaml"}}, "app", "1.0.0"},
		{ChartSpec{Ref: "nginx", Repo: "https://charts.example.com", Version: "~2", Release: "web"}, "nginx", "2.1.0"},
		{ChartSpec{Ref: "charts/local", Set: []string{"a=b"}}, "local", "3.0.0"},
	}
	images := []string{"docker.io/library/nginx:1.27", "ghcr.io/a/b@sha256:" + strings.Repeat("b", 64)}
	for _, kind := range []string{forHauler, forZarf} {
		text, err := WriteList(kind, charts, images)
		if err != nil {
			t.Fatal(err)
		}
		c, err := parseConfig(text, "list")
		if err != nil || len(c.NotTaken) > 0 {
			t.Fatalf("%s: %v, %v\n%s", kind, err, c, text)
		}
		var got []string
		for _, im := range c.Images {
			got = append(got, im.Source)
		}
		if !reflect.DeepEqual(got, images) {
			t.Errorf("%s: %q", kind, got)
		}
		if len(c.Charts) != 3 || c.Charts[0].Ref != "oci://ghcr.io/acme/charts/app" || c.Charts[0].Version != "1.0.0" || c.Charts[0].ValueFiles[0] != "v.yaml" ||
			c.Charts[1].Ref != "nginx" || c.Charts[1].Repo != "https://charts.example.com" || c.Charts[1].Version != "2.1.0" || c.Charts[2].Ref != "charts/local" {
			t.Errorf("%s: %+v\n%s", kind, c.Charts, text)
		}
		if !strings.Contains(string(text), "# The values given for local") {
			t.Errorf("%s does not say what it lacks:\n%s", kind, text)
		}
		dec := yaml.NewDecoder(strings.NewReader(string(text)))
		var doc map[string]any
		if err := dec.Decode(&doc); err != nil {
			t.Error(err)
		}
	}
	if text, err := WriteList(forText, charts, images); err != nil || string(text) != strings.Join(images, "\n")+"\n" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := WriteList("x", nil, nil); fault.KindOf(err) != fault.Usage {
		t.Error(err)
	}
}
