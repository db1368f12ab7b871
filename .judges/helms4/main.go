// Helms4 is the command helm of Helm 4, asked many times in one process. Its settings
// are those of the environment that it was started in.
package main

import (
	"io"

	helm "helm.sh/helm/v4/pkg/cmd"

	"judges/answers"
)

func main() {
	answers.Serve(func(args []string, out io.Writer) error {
		cmd, err := helm.NewRootCmd(out, args, helm.SetupLogging)
		if err != nil {
			return err
		}
		cmd.SetArgs(args)
		cmd.SetOut(out)
		cmd.SetErr(io.Discard) // the error is returned too
		return cmd.Execute()
	})
}
