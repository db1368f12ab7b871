package emit

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"bundle/bundle/internal/lazy"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/words"
)

// podImage matches the fields that kustomize's images: knows, wherever they stand.
var podImage = lazy.Regexp(`(^|\.)(containers|initContainers)\[[^\]]+\]\.image$`)

// byFlux tells whether the images: of a HelmRelease move a reference that values do
// not. Flux runs Helm 4, hooks included.
func (c *Chart) byFlux(l Left) bool {
	return c.breaks4 == "" && podImage().MatchString(l.Path) && !strings.Contains(l.Path, "|")
}

// interval is how often Flux looks after things: nothing changes by itself here.
const interval = "10m"

// flux is the chart for Flux: where it lies, and how it is installed.
func (c *Chart) flux(o Options) ([]object, error) {
	repository, more := c.ociRepository(o)
	release, exact, err := c.helmRelease()
	if err != nil {
		return nil, err
	}
	return append(append(more, exact...), repository, release), nil
}

// ociRepository names the chart by its digest, and what it takes to read it.
func (c *Chart) ociRepository(o Options) (repository object, more []object) {
	spec := object{
		"interval":      interval,
		"url":           "oci://" + c.Naming.Chart(c.Record.Name),
		"ref":           object{"digest": c.Record.Digest.String()},
		"layerSelector": object{"mediaType": record.HelmChartType, "operation": "copy"},
	}
	if o.Access.Plain(o.Registry.Host) {
		spec["insecure"] = true
	}
	if o.PullSecret != "" {
		spec["secretRef"] = object{"name": o.PullSecret}
	}
	if o.Access.CAFile != "" || o.Access.ClientCert != "" {
		spec["certSecretRef"] = object{"name": c.certSecret()}
	}
	if ca, err := smallFile(o.Access.CAFile); err == nil && o.Access.ClientCert == "" {
		more = append(more, secretText(c.certSecret(), c.Record.Namespace, nil, map[string]string{"ca.crt": ca}))
	}
	return object{
		"apiVersion": "source.toolkit.fluxcd.io/v1",
		"kind":       "OCIRepository",
		"metadata":   object{"name": c.Record.Release, "namespace": c.Record.Namespace},
		"spec":       spec,
	}, more
}

// certSecret is the secret with the certificates of the registry.
func (c *Chart) certSecret() string { return c.Record.Release + "-registry-certs" }

// smallFile reads a file of certificates; one that is none, a pipe for one, was read
// before and is empty by now.
func smallFile(name string) (string, error) {
	st, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	if !st.Mode().IsRegular() {
		return "", fmt.Errorf("%s is no regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 1<<20)) // a Secret holds no more
	return string(b), err
}

// targetPath is what a HelmRelease takes for the path of a value, but for lists: the
// values below would replace the whole of one.
var targetPath = lazy.Regexp(`^[a-zA-Z0-9_\-.\\/]{1,250}$`)

// inexact are numbers that Flux reads as floats, as Helm does those of a file.
func (c *Chart) inexact() (paths []string) {
	for _, p := range c.exact() {
		if !targetPath().MatchString(p[0]) {
			paths = append(paths, p[0])
		}
	}
	return paths
}

// helmRelease installs the chart with all its values; exact holds the numbers that
// would not come through as they are.
func (c *Chart) helmRelease() (release object, exact []object, err error) {
	values, err := c.inline()
	if err != nil {
		return nil, nil, err
	}
	spec := object{
		"interval":    interval,
		"releaseName": c.Record.Release,
		"chartRef":    object{"kind": "OCIRepository", "name": c.Record.Release},
		"values":      values,
	}
	var from []object
	data := make(map[string]string)
	name := c.Record.Release + "-exact-values"
	for i, p := range c.exact() {
		if !targetPath().MatchString(p[0]) {
			continue
		}
		key := strconv.Itoa(i)
		data[key] = p[1]
		(&record.Chart{Values: values}).LeaveOut(false, []string{p[0]}) // they would win
		from = append(from, object{"kind": "ConfigMap", "name": name, "valuesKey": key, "targetPath": p[0]})
	}
	if from != nil {
		spec["valuesFrom"] = from
		exact = []object{{"apiVersion": "v1", "kind": "ConfigMap", "metadata": object{"name": name, "namespace": c.Record.Namespace}, "data": data}}
	}
	if len(c.unread()) > 0 {
		spec["install"], spec["upgrade"] = object{"disableSchemaValidation": true}, object{"disableSchemaValidation": true}
	}
	if rules := c.imageRules(c.fluxLines()); len(rules) > 0 {
		spec["postRenderStrategy"] = "combined" // hooks too
		spec["postRenderers"] = []object{{"kustomize": object{"images": rules}}}
	}
	return object{
		"apiVersion": "helm.toolkit.fluxcd.io/v2",
		"kind":       "HelmRelease",
		"metadata":   object{"name": c.Record.Release, "namespace": c.Record.Namespace},
		"spec":       spec,
	}, exact, nil
}

// fluxLines are the references that images: has to move.
func (c *Chart) fluxLines() map[string]string {
	lines := make(map[string]string)
	for _, l := range c.Left {
		if l.Target != "" && c.byFlux(l) {
			lines[l.raw] = l.Target
		}
	}
	return lines
}

func (c *Chart) fluxHead(o Options) []string {
	head := []string{c.Record.Label() + " for Flux, with the values that move its images to " + c.Naming.Registry.String() + "."}
	if o.Access.ClientCert != "" {
		args := []string{"kubectl", "create", "secret", "generic", c.certSecret(), "--namespace", c.Record.Namespace,
			"--from-file=tls.crt=" + o.Access.ClientCert, "--from-file=tls.key=" + o.Access.ClientKey}
		if o.Access.CAFile != "" {
			args = append(args, "--from-file=ca.crt="+o.Access.CAFile)
		}
		head = append(head, "It wants", "  "+words.Command(args))
	}
	if o.PullSecret != "" {
		head = append(head, "It wants", "  "+c.kubectlSecret(o))
	}
	return append(head, c.gitOpsWarnings(Options{GitOps: []string{Flux}})...)
}
