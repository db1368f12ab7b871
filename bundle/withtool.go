package bundle

import (
	"fmt"
	"path/filepath"
	"strings"

	"bundle/bundle/internal/kit"
	"bundle/bundle/internal/media"
	"bundle/bundle/internal/plan"
	"bundle/bundle/internal/transfer"
	"bundle/bundle/reports"
)

// beside are the program for the far side and what belongs to it; none were asked for
// where there are no programs.
func (e *departure) beside(tools *kit.Kit, p *plan.Plan, r *reports.Export) transfer.Beside {
	if len(tools.Programs) == 0 {
		return transfer.Beside{}
	}
	about := kit.About{
		Bundle:  filepath.Base(e.Output),
		Created: p.Created,
		Tool:    e.Tool,
		Content: contentOf(r),
	}
	if req := p.Record.Requires; req != nil {
		about.Leaves = len(req.Layers)
		for _, b := range req.Bases {
			about.Bases = append(about.Bases, fmt.Sprintf("%s %s of %s", b.Kind, b.ID, b.Created.Format("2006-01-02")))
		}
	}
	if e.Signer != nil {
		about.Fingerprint, about.Sign = e.Signer.Fingerprint(), e.Signer.Sign
	}
	return transfer.Beside{
		Size: tools.Room(),
		Make: func(parts int) (media.Beside, error) {
			if about.Parts = parts; e.Set != nil {
				about.Spare = e.Set.Parity
			}
			return tools, tools.Describe(about)
		},
	}
}

// contentOf says in a few words what a bundle holds.
func contentOf(r *reports.Export) string {
	var all []string
	for _, c := range r.Charts {
		all = append(all, "chart "+c.Name+" "+c.Version)
	}
	images := "1 image"
	if n := len(r.Images); n != 1 {
		images = fmt.Sprintf("%d images", n)
	}
	if len(all) > 5 {
		all = append(all[:5], fmt.Sprintf("%d more charts", len(r.Charts)-5))
	}
	return strings.Join(append(all, images), ", ")
}
