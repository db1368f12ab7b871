package trust

import (
	"fmt"
	"testing"

	"bundle/bundle/internal/fault"
	"bundle/checksum"
)

// Whatever is wrong with a signature is exit code 3, with advice.
func TestTrustHints(t *testing.T) {
	for reason := checksum.Unsigned; reason <= checksum.TooFew; reason++ {
		err := explain(fmt.Errorf("x.bundle.tar: %w", &checksum.TrustError{Reason: reason, Fingerprint: "SHA256:x"}))
		if fault.KindOf(err) != fault.Untrusted || fault.KindOf(err).Code() != 3 || fault.Hint(err) == "" {
			t.Errorf("%s: kind %d, hint %q", reason, fault.KindOf(err), fault.Hint(err))
		}
	}
}
