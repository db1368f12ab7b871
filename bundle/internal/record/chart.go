package record

import (
	"fmt"
	"regexp"
	"strings"

	"bundle/bundle/internal/name"
)

// Media types of a chart in a registry (Helm, "Use OCI-based registries").
const (
	HelmConfigType     = "application/vnd.cncf.helm.config.v1+json"
	HelmChartType      = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
	HelmProvenanceType = "application/vnd.cncf.helm.chart.provenance.v1.prov"
)

// IsChartLayer reports whether a layer is the archive of a chart. Helm takes the
// old type, too, which early versions wrote.
func IsChartLayer(mediaType string) bool {
	return mediaType == HelmChartType || mediaType == "application/tar+gzip"
}

// maxTag is the longest tag that registries take (OCI distribution-spec 1.1).
const maxTag = 128

// CheckName requires a name and version that charts can have in a registry: they
// become a repository and a tag.
func (r Chart) CheckName() error {
	if n := len(r.Version); n > maxTag {
		return fmt.Errorf("chart %q: a version of %d characters; it becomes a tag, which has at most %d", r.Name, n, maxTag)
	}
	path := "charts/" + r.Name
	ref, err := name.Parse(name.LocalHost + "/" + path + ":" + Tag(r.Version))
	if err != nil || ref.Path != path || ref.Tag != Tag(r.Version) || strings.Contains(r.Name, "/") {
		return fmt.Errorf("%q in version %q is no chart name: registries take lower-case letters, digits, dots and dashes", r.Name, r.Version)
	}
	return nil
}

// CheckRelease requires names that Kubernetes and Helm take: they become
// folders and words of a command.
func CheckRelease(release, namespace string) error {
	if !dnsName.MatchString(release) || len(release) > 53 {
		return fmt.Errorf("release name %q is not up to 53 lower-case letters, digits, dots and dashes", release)
	}
	if !dnsName.MatchString(namespace) || len(namespace) > 63 {
		return fmt.Errorf("namespace %q is not up to 63 lower-case letters, digits and dashes", namespace)
	}
	return nil
}

// CheckSecret requires a name that a Secret can have.
func CheckSecret(name string) error {
	if !dnsName.MatchString(name) || len(name) > 253 {
		return fmt.Errorf("%q is no name for a secret: want lower-case letters, digits, dots and dashes", name)
	}
	return nil
}

// dnsName is a DNS subdomain (RFC 1123).
var dnsName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)

// KubeVersion is what a Kubernetes version begins with; Helm takes what follows
// for what it is.
var KubeVersion = regexp.MustCompile(`^v?[0-9]+\.[0-9]+`)

// Label names the chart in findings and messages.
func (r Chart) Label() string { return r.Name + "-" + r.Version }

// Tag is the tag of a chart version: + is not allowed in a tag, and Helm
// writes _ for it.
func Tag(version string) string { return strings.ReplaceAll(version, "+", "_") }
