package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"bundle/testdata/judge"
)

// TestWine runs scripts with the program for Windows, as `make wine` gives it:
// BUNDLE_EXE is that program, WINEPREFIX where wine has its files. In them, win ARG… is
// bundle ARG….
func TestWine(t *testing.T) {
	program := os.Getenv("BUNDLE_EXE")
	if program == "" {
		t.Skip("make wine runs it")
	}
	wine := judge.Path(t, "wine")
	testscript.Run(t, testscript.Params{
		Dir:                 "../../testdata/wine",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			if err := setupScript(env); err != nil {
				return err
			}
			env.Setenv("WINEPREFIX", os.Getenv("WINEPREFIX"))
			env.Setenv("WINEDEBUG", "-all")
			env.Setenv("BUNDLE_EXE", program)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"win": func(ts *testscript.TestScript, neg bool, args []string) {
				err := ts.Exec(wine, append([]string{program}, args...)...)
				switch {
				case err != nil && !neg:
					ts.Fatalf("bundle %q: %v", args, err)
				case err == nil && neg:
					ts.Fatalf("bundle %q: no error", args)
				}
			},
			"registry": cmdRegistry, "image": cmdImage, "fault": cmdFault, "heal": cmdHeal, "key": cmdKey, "fill": cmdFill,
		},
	})
}
