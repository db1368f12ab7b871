package emit

import (
	"context"
	"slices"
	"strings"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/record"
)

// Secrets says which Secrets stay out of the folder of rendered manifests.
type Secrets int

const (
	KeepSecrets   Secrets = iota // none
	OmitGenerated                // those with content that is made anew by each render
	OmitAll                      // all
)

// findGenerated renders the chart once more as it was rendered for the output. What
// differs was made for one render alone, such as passwords, keys and certificates:
// in a repository, it would be one more password that anybody reads, and another one
// after each import.
func (c *Chart) findGenerated(ctx context.Context, render chart.RenderOptions) error {
	again, err := c.Chart.Render(ctx, render)
	if err != nil {
		return err
	}
	c.generated = make(map[chart.Document]bool)
	for _, x := range c.output.Differences(again.Like(c.output)) {
		c.generated[x.Document] = true
	}
	return nil
}

// omitted tells whether a manifest stays out of the folder of rendered manifests.
func (c *Chart) omitted(m *chart.Manifest, which Secrets) bool {
	return isSecret(m) && (which == OmitAll || which == OmitGenerated && c.generated[m.ID])
}

func isSecret(m *chart.Manifest) bool { return m.Kind == "Secret" || m.Kind == "SecretList" }

// generatedWarnings name what of the rendered folder is made anew by each render.
func (c *Chart) generatedWarnings(o Options) (all []string) {
	if !o.renders() || c.rewritten == nil {
		return nil
	}
	var secrets, others []string
	for i := range c.rewritten.Manifests {
		m := &c.rewritten.Manifests[i]
		switch {
		case !installs(m) || !c.generated[m.ID] || o.RenderDir != "" && c.omitted(m, o.OmitSecrets):
		case isSecret(m):
			secrets = append(secrets, record.Printable(m.Name))
		default:
			others = append(others, record.Printable(m.Kind+" "+m.Name))
		}
	}
	if len(secrets) > 0 {
		all = append(all, "the rendered manifests hold Secrets with generated content, new with each render: "+strings.Join(secrets, ", ")+
			"; keep them out of Git: --render DIR --render-secrets=omit leaves them out")
	}
	if len(others) > 0 {
		all = append(all, "new with each render too, and to be kept together with what it belongs to: "+strings.Join(others, ", "))
	}
	return all
}

// renders tells whether an import writes rendered manifests for others to keep.
func (o *Options) renders() bool {
	return o.RenderDir != "" || slices.Contains(o.GitOps, Kustomize)
}
