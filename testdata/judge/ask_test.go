package judge

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// Asked in one process, helm answers what its command does: the same text, and an error
// where that has one.
func TestAsk(t *testing.T) {
	charts := func(name string) string { return filepath.Join("../charts", name) }
	for name, program := range map[string]string{"helms3": "helm", "helms4": "helm4"} {
		t.Run(name, func(t *testing.T) {
			path := Path(t, program)
			questions := [][]string{
				{"template", "rel", charts("hooks"), "--kube-version", "v1.29.4"},
				{"template", "rel", charts("global-subcharts"), "-f", charts("alias") + "/values.yaml", "-f", charts("hub") + "/values.yaml"},
				{"template", "rel", charts("strict-schema"), "-f", charts("hub") + "/values.yaml"},
				{"template", "rel", charts("strict-schema"), "-f", charts("hub") + "/values.yaml", "--skip-schema-validation"},
				{"template", "rel", charts("none")},
				{"show", "chart", charts("operator")},
			}
			if name == "helms3" { // for Helm 4 it is a plugin
				questions = append(questions, []string{"template", "rel", charts("hooks"), "--post-renderer", Path(t, "sed"), "--post-renderer-args", "-e", "--post-renderer-args", "s/image/x/"})
			}
			for _, args := range questions {
				cmd := exec.Command(path, args...)
				cmd.Env = environment()
				want, failed := cmd.Output()
				got, err := Ask(t, name, args...)
				if got != string(want) || (err != nil) != (failed != nil) {
					t.Errorf("%q: %v, %v\n%s\nwant\n%s", args, err, failed, got, want)
				}
			}
		})
	}
}
