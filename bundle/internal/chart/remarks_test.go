package chart

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What programs fetch while they run, in commands, arguments, scripts and settings;
// and what only looks like it.
func TestRemarks(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
	}{
		{"commands in lists", `
kind: Pod
spec:
  initContainers:
  - {name: a, image: x:1, command: [curl, -fsSL, -o, /x, "https://get.acme.dev/x.tgz"]}
  - {name: b, image: x:1, command: [sh, -c], args: ["apk add --no-cache git && git clone https://github.com/acme/x /x"]}
  - {name: c, image: x:1, command: [sh, -c, "curl -s http://api.default.svc.cluster.local/x; curl http://localhost:80; wget http://10.1.2.3/x; curl $URL; curl http://web/x"]}
  - {name: d, image: x:1, args: [--index-url, "https://pypi.org/simple"]}
  - {name: e, image: x:1, args: ["--plugin-index=https://plugins.acme.dev/index.yaml"]}
  - {name: f, image: x:1, command: ["/usr/bin/wget"], args: ["http://169.254.169.254/latest"]}
  - {name: g, image: x:1, command: [git, clone, "git@github.com:acme/x.git"]}`, []string{
			"download spec.initContainers[a].command: curl -fsSL -o /x https://get.acme.dev/x.tgz",
			"download spec.initContainers[b].args[0]: apk add --no-cache git && git clone https://github.com/acme/x /x",
			"download spec.initContainers[d].args: --index-url https://pypi.org/simple",
			"download spec.initContainers[e].args[0]: --plugin-index=https://plugins.acme.dev/index.yaml",
			"download spec.initContainers[g].command: git clone git@github.com:acme/x.git",
		}},
		{"scripts in a ConfigMap", `
kind: ConfigMap
data:
  setup.sh: |
    #!/bin/sh
    # curl https://get.acme.dev/comment
    set -e
    curl -L \
      https://get.acme.dev/tool | sh
    pip install -r requirements.txt
    pip install --no-index /wheels/x.whl
    apt-get update
    apt-get -y install jq
    helm repo add acme https://charts.acme.dev
    helm upgrade --install x oci://ghcr.io/acme/charts/x
    kubectl apply -f https://raw.acme.dev/x.yaml
    kubectl apply -f /manifests
    wget -qO- "$SOURCE"
    npm ci
    jenkins-plugin-cli --version
    jenkins-plugin-cli --verbose --plugin-file /plugins.txt
    installed=1
  README.md: |
    Run curl https://get.acme.dev/tool
    or pip install acme
`, []string{
			`download data["setup.sh"]: curl -L https://get.acme.dev/tool | sh`,
			`download data["setup.sh"]: pip install -r requirements.txt`,
			`download data["setup.sh"]: apt-get update`,
			`download data["setup.sh"]: apt-get -y install jq`,
			`download data["setup.sh"]: helm repo add acme https://charts.acme.dev`,
			`download data["setup.sh"]: helm upgrade --install x oci://ghcr.io/acme/charts/x`,
			`download data["setup.sh"]: kubectl apply -f https://raw.acme.dev/x.yaml`,
			`download data["setup.sh"]: npm ci`,
			`download data["setup.sh"]: jenkins-plugin-cli --verbose --plugin-file /plugins.txt`,
		}},
		{"settings", `
kind: Deployment
metadata: {annotations: {help: "curl https://get.acme.dev"}}
spec:
  template:
    spec:
      containers:
      - name: a
        image: x:1
        env:
        - {name: GF_INSTALL_PLUGINS, value: "acme-panel"}
        - {name: PIP_INDEX_URL, value: "https://pypi.acme.dev/simple"}
        - {name: GOPROXY, value: "http://athens.athens.svc"}
        - {name: HOME_URL, value: "https://acme.dev"}`, []string{
			"download spec.template.spec.containers[a].env[GF_INSTALL_PLUGINS].value: GF_INSTALL_PLUGINS=acme-panel",
			"download spec.template.spec.containers[a].env[PIP_INDEX_URL].value: PIP_INDEX_URL: https://pypi.acme.dev/simple",
		}},
		{"a source that a controller fetches", `
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
spec: {url: "https://charts.acme.dev"}`, []string{"download spec.url: url: https://charts.acme.dev"}},
		{"a resource of an operator", `
apiVersion: kafka.acme.dev/v1
kind: Kafka
spec: {kafka: {version: 3.7.0, config: {inter.broker.protocol.version: "3.7"}}, tls: {minVersion: "1.2"}}`, []string{"operator spec.kafka.version: version: 3.7.0"}},
		{"one that names its image", `
apiVersion: kafka.acme.dev/v1
kind: Kafka
spec: {version: 3.7.0, image: "quay.io/acme/kafka:3.7.0"}`, nil},
		{"one of Kubernetes itself", `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
spec: {version: "1.0"}`, nil},
		{"a definition", `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
spec: {text: "curl https://get.acme.dev"}`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, r := range manifest(t, tt.text).Remarks() {
				got = append(got, fmt.Sprintf("%s %s: %s", r.About, r.Path, r.Text))
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}
