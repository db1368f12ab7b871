//go:build !unix

package transfer

import (
	"context"
	"os"
)

func openStream(_ context.Context, path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY, 0)
}
