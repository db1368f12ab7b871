package bundle

import (
	"context"
	"fmt"
	"os"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/trust"
)

// mayReplace refuses to write a bundle where one of other content is: it may be the
// only copy of what a site runs. id is that of the new one.
func mayReplace(ctx context.Context, path, id string) error {
	if path == StreamOutput {
		return nil
	}
	st, err := os.Stat(path)
	if err != nil || !st.Mode().IsRegular() || st.Size() == 0 {
		return nil
	}
	what := "is a bundle that cannot be read"
	if b, err := open.File(ctx, path, trust.TrustAnyone()); err == nil {
		defer b.Close()
		if b.Record.ID == id {
			return nil
		}
		what = "is another bundle, id " + b.Record.ID + ", and this one would have id " + id
	}
	return &fault.UsageError{
		What:   fmt.Sprintf("%s %s: it is not replaced", path, what),
		Advice: "--force replaces it, -o FILE writes beside it",
	}
}
