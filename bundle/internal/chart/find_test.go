package chart

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bundle/bundle/internal/name"
	"bundle/bundle/internal/written"
)

const sha = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// One row per shape: what stands in a manifest and what is found in it, as
// "confidence raw path[~word]".
var shapes = []struct {
	name string
	text string
	want []string
}{
	{
		name: "containers, init and ephemeral containers",
		text: `
kind: Deployment
spec:
  template:
    spec:
      initContainers: [{image: busybox}]
      containers:
      - image: "quay.io/org/app:1.0"
      - {name: side, image: 'nginx:1.27'}
      ephemeralContainers:
      - image: debug.example.com:5000/tools@` + sha,
		want: []string{
			"image busybox spec.template.spec.initContainers[0].image",
			"image quay.io/org/app:1.0 spec.template.spec.containers[0].image",
			"image nginx:1.27 spec.template.spec.containers[1].image",
			"image debug.example.com:5000/tools@" + sha + " spec.template.spec.ephemeralContainers[0].image",
		},
	},
	{
		name: "tag and digest together",
		text: "kind: Pod\nspec: {containers: [{image: 'ghcr.io/a/b:1.0@" + sha + "'}]}",
		want: []string{"image ghcr.io/a/b:1.0@" + sha + " spec.containers[0].image"},
	},
	{
		name: "placeholders in containers",
		text: `
kind: Pod
spec:
  containers:
  - image: auto
  - image: ""
  - image:
  - image: $(IMAGE)
  - image: "{{ .image }}"
  - image: "Quay.io/Upper/Case:1"
  - image: "quay.io/x/:1"`,
		want: []string{
			"placeholder auto spec.containers[0].image",
			"placeholder  spec.containers[1].image",
			"placeholder  spec.containers[2].image",
			"placeholder $(IMAGE) spec.containers[3].image",
			"placeholder {{ .image }} spec.containers[4].image",
			"placeholder Quay.io/Upper/Case:1 spec.containers[5].image",
			"placeholder quay.io/x/:1 spec.containers[6].image",
		},
	},
	{
		name: "patterns of a policy",
		text: `
kind: ClusterPolicy
spec:
  rules:
  - name: a
    validate: {pattern: {spec: {containers: [{image: "!*:latest"}, {image: "ghcr.io/* | quay.io/*"}, {image: "^ghcr.io/.+$"}]}}}
  - name: b
    verifyImages: [{imageReferences: ["ghcr.io/acme/*"], image: "*"}]`,
	},
	{
		name: "image keys of any case in any kind",
		text: `
kind: Cluster
spec:
  imageName: ghcr.io/org/db:16
  IMAGE: quay.io/org/upper:1
  imageRef: org/ref:2
  imageURL: registry.example.com/url:3
  sidecarImage: envoy:v1.30
  docker_image: ghcr.io/org/spilo:3
  pod-image: org/pod
  image: registry.example.com/tagless`,
		want: []string{
			"image ghcr.io/org/db:16 spec.imageName",
			"image quay.io/org/upper:1 spec.IMAGE",
			"image org/ref:2 spec.imageRef",
			"image registry.example.com/url:3 spec.imageURL",
			"image envoy:v1.30 spec.sidecarImage",
			"image ghcr.io/org/spilo:3 spec.docker_image",
			"repository org/pod spec.pod-image",
			"repository registry.example.com/tagless spec.image",
		},
	},
	{
		name: "image volume",
		text: "kind: Pod\nspec: {volumes: [{name: v, image: {reference: 'quay.io/org/data:v1', pullPolicy: Always}}]}",
		want: []string{"image quay.io/org/data:v1 spec.volumes[v].image.reference"},
	},
	{
		name: "image map of registry, repository and tag",
		text: `
kind: App
spec:
  image: {registry: docker.io, repository: org/app, tag: 1.10}
  other: {registry: "", repository: quay.io/org/other, tag: ""}
  pinned: {repository: org/pinned, tag: "1", digest: ` + sha + `}
  onlyDigest: {repository: org/digest, sha: ` + strings.TrimPrefix(sha, "sha256:") + `}
  slash: {registry: "quay.io/", repository: quay.io/org/twice, tag: v1}
  bare: {image: {repository: org/bare, pullPolicy: Always}}`,
		want: []string{
			"image docker.io/org/app:1.10 spec.image.repository~ref",
			"repository quay.io/org/other spec.other.repository~ref",
			"image org/pinned:1@" + sha + " spec.pinned.repository~ref",
			"image org/digest@" + sha + " spec.onlyDigest.repository~ref",
			"image quay.io/org/twice:v1 spec.slash.repository~ref",
			"repository org/bare spec.bare.image.repository~ref",
		},
	},
	{
		name: "image map with the image or the name as last part",
		text: `
kind: ClusterPolicy
spec:
  driver: {repository: nvcr.io/nvidia, image: driver, version: "550.90"}
  toolkit: {repository: nvcr.io/nvidia, image: toolkit, version: "` + sha + `"}
  ingress: {registry: registry.k8s.io, image: ingress/controller, tag: v1.2}
  proxy: {image: {name: cr.example.com/proxy, version: edge-1}}
  named: {registry: quay.io, name: org/named, tag: v3}
  complete: {image: "org/complete:1.0", tag: ignored}
  inRepository: {repository: "org/whole:2.0", tag: ""}
  monitored: {image: quay.io/prometheus/prometheus, version: v3.0}`,
		want: []string{
			"image nvcr.io/nvidia/driver:550.90 spec.driver.image~ref",
			"image nvcr.io/nvidia/toolkit@" + sha + " spec.toolkit.image~ref",
			"image registry.k8s.io/ingress/controller:v1.2 spec.ingress.image~ref",
			"image cr.example.com/proxy:edge-1 spec.proxy.image.name~ref",
			"image quay.io/org/named:v3 spec.named.name~ref",
			"image org/complete:1.0 spec.complete.image",
			"image org/whole:2.0 spec.inRepository.repository~ref",
			"repository quay.io/prometheus/prometheus spec.monitored.image",
		},
	},
	{
		name: "prefixed keys in a map and in a flat ConfigMap",
		text: `
kind: ConfigMap
data:
  imageRegistry: ghcr.io
  imageRepository: org/one
  imageTag: v1
  sidecarImageRepository: org/two
  sidecarImageTag: v2
  THREE_IMAGE_REPOSITORY: quay.io/org/three
  THREE_IMAGE_TAG: v3
  four.image.repository: quay.io/org/four
  four.image.tag: v4`,
		want: []string{
			"image ghcr.io/org/one:v1 data.imageRepository~ref",
			"image org/two:v2 data.sidecarImageRepository~ref",
			"image quay.io/org/three:v3 data.THREE_IMAGE_REPOSITORY~ref",
			`image quay.io/org/four:v4 data["four.image.repository"]~ref`,
		},
	},
	{
		name: "a hub for the maps below",
		text: `
kind: ConfigMap
data:
  values: '{"global": {"hub": "docker.io/mesh", "tag": "1.2", "proxy": {"image": "proxy"}, "init": {"image": "docker.io/own/init:3"}}}'`,
		want: []string{
			"image docker.io/mesh/proxy:1.2 data.values|json.global.proxy.image~ref",
			"image docker.io/own/init:3 data.values|json.global.init.image",
		},
	},
	{
		name: "env entries",
		text: `
kind: Deployment
spec:
  template:
    spec:
      containers:
      - image: org/op:1
        env:
        - {name: RELATED_IMAGE_DB, value: "org/db:5"}
        - {name: SIDECAR_IMAGE, value: quay.io/org/side:2}
        - {name: IMAGE_PULL_POLICY, value: Always}
        - {name: IMAGE_SERVICE_ADDR, value: "image-service:8080"}
        - {name: BASE_IMAGE, value: org/base}
        - {name: DB_REPOSITORY, value: "ghcr.io/scan/db,quay.io/scan/db"}
        - {name: KAFKA_IMAGES, value: "4.0=quay.io/org/kafka:4.0\n4.1=quay.io/org/kafka:4.1\n"}
        - {name: SHORT_IMAGES, value: "4.0=org/kafka:4.0,4.1=org/kafka:4.1"}
        - {name: FROM, valueFrom: {fieldRef: {fieldPath: metadata.name}}}`,
		want: []string{
			"image org/op:1 spec.template.spec.containers[0].image",
			`image org/db:5 spec.template.spec.containers[0].env[RELATED_IMAGE_DB].value`,
			`image quay.io/org/side:2 spec.template.spec.containers[0].env[SIDECAR_IMAGE].value`,
			`repository org/base spec.template.spec.containers[0].env[BASE_IMAGE].value`,
			`repository ghcr.io/scan/db spec.template.spec.containers[0].env[DB_REPOSITORY].value~1`,
			`repository quay.io/scan/db spec.template.spec.containers[0].env[DB_REPOSITORY].value~2`,
			`image quay.io/org/kafka:4.0 spec.template.spec.containers[0].env[KAFKA_IMAGES].value~2`,
			`image quay.io/org/kafka:4.1 spec.template.spec.containers[0].env[KAFKA_IMAGES].value~4`,
			`image org/kafka:4.0 spec.template.spec.containers[0].env[SHORT_IMAGES].value~2`,
			`image org/kafka:4.1 spec.template.spec.containers[0].env[SHORT_IMAGES].value~4`,
		},
	},
	{
		name: "references split over env entries",
		text: `
kind: Pod
spec:
  containers:
  - image: a/b:1
    env:
    - {name: INIT_IMAGE_REPOSITORY, value: quay.io/org/init}
    - {name: INIT_VERSION, value: "1.9"}
    - {name: DB_IMAGE_REPOSITORY, value: quay.io/org/db}
    - {name: DB_IMAGE_TAG, value: v2}
    - {name: SERVER_IMAGE, value: server}
    - {name: SERVER_REPO_URL, value: quay.io/org}
    - {name: SEARCH_REPO_URL, value: quay.io/org}
    - {name: SEARCH_NAME, value: search}
    - {name: SEARCH_VERSION, value: 1.7}`,
		want: []string{
			"image a/b:1 spec.containers[0].image",
			`image quay.io/org/init:1.9 spec.containers[0].env[INIT_IMAGE_REPOSITORY].value~ref`,
			`image quay.io/org/db:v2 spec.containers[0].env[DB_IMAGE_REPOSITORY].value~ref`,
			`repository quay.io/org/server spec.containers[0].env[SERVER_IMAGE].value~ref`,
			`image quay.io/org/search:1.7 spec.containers[0].env[SEARCH_NAME].value~ref`,
		},
	},
	{
		name: "arguments",
		text: `
kind: Pod
spec:
  containers:
  - image: a/b:1
    args:
    - --solver-image=quay.io/org/solver:1
    - --reloader=quay.io/org/reloader:2
    - --engine-image
    - org/engine:v1
    - --agent-image=agent:3
    - --plugin=id=kv,image=oci://ghcr.io/acme/kv:1.0,restarts=3
    - --images=a=org/x:1,b=ghcr.io/org/y:2
    - --listen=0.0.0.0:8080
    command: ["sh", "-c", "exec app -side-image=\"org/side:1\" --url https://example.com/a/b:1"]`,
		want: []string{
			"image a/b:1 spec.containers[0].image",
			"image quay.io/org/solver:1 spec.containers[0].args[0]~2",
			"image quay.io/org/reloader:2 spec.containers[0].args[1]~2",
			"image org/engine:v1 spec.containers[0].args[3]",
			"image agent:3 spec.containers[0].args[4]~2",
			"image ghcr.io/acme/kv:1.0 spec.containers[0].args[5]~5",
			"image org/x:1 spec.containers[0].args[6]~3",
			"image ghcr.io/org/y:2 spec.containers[0].args[6]~5",
			"image org/side:1 spec.containers[0].command[2]~4",
		},
	},
	{
		name: "references with blanks that a program fills in",
		text: `
kind: Pod
spec:
  containers:
  - name: a
    image: ghcr.io/acme/app:$(VERSION)
    args: ["--image=ghcr.io/acme/{{kind}}:v1", "--from=quay.io/acme/%s:%s", "--x-image", "acme/worker-{arch}", "pull quay.io/acme/tool:${TAG} now", "quay.io/acme/tool:$TAG"]
    env:
    - {name: WORKER_IMAGE, value: "ghcr.io/acme/%(type)s:%(version)s"}
    - {name: SHORT_IMAGE, value: "worker:{x}"}
    - {name: OTHER_IMAGE, value: "$(REGISTRY)/acme/x:1"}
    - {name: TEXT, value: "{{ if .x }}quay.io/acme/if:1{{ end }} https://ghcr.io/acme/{{x}}"}
  - {name: b, image: "$(REGISTRY)/acme/b:1"}`,
		want: []string{
			"repository ghcr.io/acme/app:$(VERSION) spec.containers[a].image",
			"repository ghcr.io/acme/{{kind}}:v1 spec.containers[a].args[0]~2",
			"repository quay.io/acme/%s:%s spec.containers[a].args[1]~2",
			"repository acme/worker-{arch} spec.containers[a].args[3]",
			"repository quay.io/acme/tool:${TAG} spec.containers[a].args[4]~2",
			"repository quay.io/acme/tool:$TAG spec.containers[a].args[5]",
			"repository ghcr.io/acme/%(type)s:%(version)s spec.containers[a].env[WORKER_IMAGE].value",
			"placeholder $(REGISTRY)/acme/x:1 spec.containers[a].env[OTHER_IMAGE].value",
			"image quay.io/acme/if:1 spec.containers[a].env[TEXT].value~3",
			"placeholder $(REGISTRY)/acme/b:1 spec.containers[b].image",
		},
	},
	{
		name: "YAML and JSON inside a ConfigMap, nested",
		text: `
kind: ConfigMap
data:
  config.yaml: |
    versions:
    - {version: "1", mainImage: nats:1, startCommand: /nats}
    inner: |
      pod:
        spec:
          containers:
          - image: quay.io/org/inner
  two.yaml: |
    a: {image: quay.io/org/first:1}
    ---
    a: {image: quay.io/org/second:2}
  pods.json: '[{"image": "busybox:1.36", "n": 1}]'
  list: "- quay.io/org/elem:1\n- other\n"`,
		want: []string{
			`image nats:1 data["config.yaml"]|yaml.versions[0].mainImage`,
			`image quay.io/org/inner data["config.yaml"]|yaml.inner|yaml.pod.spec.containers[0].image`,
			`image quay.io/org/first:1 data["two.yaml"]|yaml.a.image`,
			`image quay.io/org/second:2 data["two.yaml"]|yaml/1.a.image`,
			`image busybox:1.36 data["pods.json"]|json[0].image`,
			"image quay.io/org/elem:1 data.list|yaml[0]",
		},
	},
	{
		name: "text that is no YAML",
		text: `
kind: ConfigMap
data:
  config.toml: |
    [runners.kubernetes]
      image = "ubuntu:22.04"
      helper_image = "registry.example.com/helper:v1"
  airflow.cfg: |
    [kubernetes]
    worker_container_repository = apache/airflow
    worker_container_tag = 2.9.1
    other = 1
  template: |
    {{ if .x }}
    image: "{{ annotation .y }}"
    {{ end }}
    image: busybox:1.28
  run.sh: |
    #!/bin/sh
    docker run ghcr.io/org/tool:v1 quay.io/org/{{ .name }}`,
		want: []string{
			`image ubuntu:22.04 data["config.toml"]~3`,
			`image registry.example.com/helper:v1 data["config.toml"]~5`,
			`image apache/airflow:2.9.1 data["airflow.cfg"]~3~ref`,
			"image busybox:1.28 data.template~8",
			`image ghcr.io/org/tool:v1 data["run.sh"]~4`,
			`repository quay.io/org/{{ .name }} data["run.sh"]~5`,
		},
	},
	{
		name: "base64 in a Secret, alone or in a list",
		text: `
kind: List
items:
- kind: Secret
  data:
    conf: ` + base64.StdEncoding.EncodeToString([]byte("pod:\n  image: quay.io/org/secret:1\n")) + `
    word: ` + base64.StdEncoding.EncodeToString([]byte("quay.io/org/word:1")) + `
    noise: AAECAwQF/w==
  stringData:
    plain: quay.io/org/plain:1`,
		want: []string{
			"image quay.io/org/secret:1 items[0].data.conf|base64|yaml.pod.image",
			"image quay.io/org/word:1 items[0].data.word|base64",
			"image quay.io/org/plain:1 items[0].stringData.plain",
		},
	},
	{
		name: "a host already seen needs no tag, and a namespace is completed at run time",
		text: `
kind: Pod
spec:
  containers: [{image: "images.example.com/org/app:1", args: [--base=images.example.com/org/base, --from=images.example.com/org, --other=unknown.example.com/org]}]`,
		want: []string{
			"image images.example.com/org/app:1 spec.containers[0].image",
			"repository images.example.com/org/base spec.containers[0].args[0]~2",
			"repository images.example.com/org spec.containers[0].args[1]~2",
		},
	},
	{
		name: "lists and maps of images",
		text: `
kind: Bundle
spec:
  images: [org/a:1, "quay.io/org/b:2", plain]
  extraImages: {proxy: org/proxy:3}
  package: xpkg.upbound.io/org/provider:v1`,
		want: []string{
			"image org/a:1 spec.images[0]",
			"image quay.io/org/b:2 spec.images[1]",
			"image org/proxy:3 spec.extraImages.proxy",
			"image xpkg.upbound.io/org/provider:v1 spec.package",
		},
	},
	{
		name: "parameters by name, and images of OpenShift",
		text: `
kind: Application
spec:
  parameters: [{name: image.repository, value: org/app}, {name: image.tag, value: v1}]
  from: {kind: DockerImage, name: "org/builder:2"}`,
		want: []string{
			`image org/app:v1 spec.parameters[image.repository].value~ref`,
			"image org/builder:2 spec.from.name",
		},
	},
	{
		name: "anchors and merge keys",
		text: `
kind: Pod
x: &base {image: "quay.io/org/base:1"}
spec: {containers: [{<<: *base, name: a}, *base]}`,
		want: []string{
			"image quay.io/org/base:1 x.image",
			"image quay.io/org/base:1 spec.containers[0].image",
			"image quay.io/org/base:1 spec.containers[1].image",
		},
	},
	{
		name: "custom resource definitions are skipped",
		text: `
kind: List
items:
- kind: CustomResourceDefinition
  spec: {versions: [{schema: {description: "e.g. quay.io/org/app:1", default: {image: "quay.io/org/x:1"}}}]}`,
	},
	{
		name: "what only looks like a reference",
		text: `
apiVersion: rbac.authorization.k8s.io/v1
kind: ConfigMap
metadata:
  labels: {app.kubernetes.io/name: app, helm.sh/chart: app-1.0, image: nginx}
  annotations:
    cert-manager.io/inject-ca-from: ns/name
    kubernetes.io/description: see https://ghcr.io/org/app:1 or http://quay.io/a/b
    logo-image: assets/logo.png
  finalizers: [foregroundDeletion, example.com/protect]
spec:
  repository: https://github.com/org/repo
  git: {repository: "git@github.com:org/repo.git", tag: v1}
  backup: {repository: s3-main}
  go: github.com/org/module/v2
  schema: json-schema.org/draft/2020-12/schema
  path: /etc/conf.d/app.yaml:ro
  mount: conf.d/default.conf:ro
  taint: node.example.com/dedicated:NoSchedule
  resources: ["nvidia.com/gpu:1", "example.com/fpga:2"]
  selector: app.kubernetes.io/instance=a,app.kubernetes.io/name=b
  service: app.ns.svc.cluster.local/path:tag
  endpoint: http://app.example.com:8080/metrics
  address: app.example.com:8080
  email: admin@example.com/x
  image: https://example.com/picture.png
  useImage: true
  imageCount: 3
  imagePullSecrets: [{name: registry-login}]
  policy: ["ghcr.io/org/*", "*:latest"]
  maven: org.example/lib@1.0
  rules: [{apiGroups: [image.openshift.io], resources: [imagestreams/layers]}]`,
	},
}

func TestFindings(t *testing.T) {
	for _, tt := range shapes {
		t.Run(tt.name, func(t *testing.T) {
			out := manifest(t, tt.text)
			var got []string
			for _, f := range out.Findings() {
				path, ok := strings.CutPrefix(f.Position.String(), out.Manifests[0].ID.String()+":")
				if !ok {
					t.Errorf("position %s is not in %s", f.Position, out.Manifests[0].ID)
				}
				got = append(got, fmt.Sprintf("%s %s %s", f.Confidence, f.Raw, path))
				if now, ok := out.Lookup(f.Position); !ok || now != f.Raw {
					t.Errorf("Lookup(%s) = %q, %v; want %q", f.Position, now, ok, f.Raw)
				}
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("findings (-want +got):\n%s", d)
			}
		})
	}
}

// FuzzFindings searches arbitrary manifests. Whatever they hold, positions must
// be unique and lead back to what was found and to every leaf.
func FuzzFindings(f *testing.F) {
	for _, s := range shapes {
		f.Add(s.text)
	}
	f.Add("a: [&x {b: *x}]")
	f.Add("a: &x [1]\nb: [*x, *x]\n<<: {c: 1}\n? [k]\n: v")
	f.Add("kind: a/b#c\n\"a~1\": x\n'~ref': quay.io/a/b:1\n\"\": {\"]|\": 'quay.io/a/b:1 c'}")
	f.Add("{\"a\": 1, \"a\": \"x: quay.io/a/b:1\\n\"}")
	f.Add("quay.io/a/b:1")
	f.Add("a: [\nx_image_registry: ghcr.io\nx_image_repository: org/one\n") // no YAML
	f.Fuzz(func(t *testing.T, text string) {
		out := manifest(t, text)
		seen := map[Position]bool{}
		for _, x := range out.Findings() {
			if seen[x.Position] {
				t.Errorf("%s is found twice", x.Position)
			}
			seen[x.Position] = true
			if now, ok := out.Lookup(x.Position); !ok || now != x.Raw {
				t.Errorf("Lookup(%s) = %q, %v; want %q", x.Position, now, ok, x.Raw)
			}
			_, composed := written.Composed(x.Raw)
			if _, ok := written.Parse(x.Raw); !ok && !composed && x.Confidence != name.Placeholder {
				t.Errorf("%s: %q is no reference", x.Position, x.Raw)
			}
		}
		for p, v := range out.Leaves() {
			m := out.byID[p.Document]
			if m == nil {
				t.Fatalf("%s leads nowhere", p)
			}
			if i, ok := m.doc.leafAt[p.Path]; !ok || m.doc.leaves[i].value != v {
				t.Errorf("leaf %s is not %q", p, v)
			}
			checkPath(t, p.Path)
		}
		out.Pods()
		out.Remarks()
		if d := out.Differences(out.Like(out)); d != nil {
			t.Errorf("it differs from itself: %v", d)
		}
	})
}

// checkPath takes a path apart and puts it together again.
func checkPath(t *testing.T, p Path) {
	t.Helper()
	var back Path
	for _, s := range p.Steps() {
		switch parent := back; s.Kind {
		case KeyStep:
			back = parent.Key(s.Text)
		case IndexStep:
			back = parent.Index(s.N)
		case ItemStep:
			back = parent.Item(s.Text)
		case IntoStep:
			back = parent.Into(s.Text, s.N)
		}
		if got := back.Last(); got != s {
			t.Errorf("the last step of %s is %+v, want %+v", back, got, s)
		}
	}
	if back != p || p.Parent() != back.Parent() || !p.Within(p.Parent()) {
		t.Errorf("the steps of %q lead to %q", p, back)
	}
}
