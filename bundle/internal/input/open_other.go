//go:build !unix

package input

import (
	"context"
	"os"
	"time"
)

func open(_ context.Context, name string, _ time.Duration) (*os.File, error) { return os.Open(name) }
