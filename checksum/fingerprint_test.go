package checksum

import (
	"errors"
	"strings"
	"testing"
)

// A fingerprint is read as ssh-keygen shows it, and as people write it down.
func TestParseFingerprint(t *testing.T) {
	want := publicKey(t, seedKey(t, 1), "").Fingerprint()
	hash := strings.TrimPrefix(want, "SHA256:")
	groups := hash[:4]
	for i := 4; i < len(hash); i += 4 {
		groups += " " + hash[i:min(i+4, len(hash))]
	}
	for _, in := range []string{want, hash, "sha256:" + hash, want + "=", "SHA256:" + groups, "  " + groups + "\n", "SHA256: " + hash[:20] + "\t" + hash[20:]} {
		if got, err := ParseFingerprint(in); err != nil || got != want {
			t.Errorf("%q is %q, %v", in, got, err)
		}
	}
	for _, in := range []string{
		"", "SHA256:", hash[:42], hash + "A", "SHA512:" + hash, strings.Repeat("00", 32),
		"MD5:16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48",
		want[:len(want)-1] + string(rune(want[len(want)-1]+1)), // bits beyond the hash are set
		"release-key.pub", want + " " + want,
	} {
		if got, err := ParseFingerprint(in); err == nil {
			t.Errorf("%q was taken for %q", in, got)
		}
	}
}

// The key that a signature holds is trusted by its fingerprint; no other is, and
// no certificate for it.
func TestTrustFingerprint(t *testing.T) {
	var trust Trust
	if err := trust.AddFingerprint("no fingerprint"); err == nil {
		t.Error("taken")
	}
	if err := trust.AddFingerprint(publicKey(t, seedKey(t, 1), "").Fingerprint()); err != nil {
		t.Fatal(err)
	}
	s, err := trust.Verify(message, mustSign(t, message, seedKey(t, 1)), now)
	if err != nil || s.Fingerprint != publicKey(t, seedKey(t, 1), "").Fingerprint() || s.Principals != "" {
		t.Errorf("%+v, %v", s, err)
	}
	_, err = trust.Verify(message, mustSign(t, message, seedKey(t, 2)), now)
	wantReason(t, err, UnknownKey)
	_, err = trust.Verify(append([]byte("other "), message...), mustSign(t, message, seedKey(t, 1)), now)
	wantReason(t, err, BadSignature)
	if _, err = trust.Require(1, message, []Candidate{{"x", []byte("garbage")}}, now); !errors.As(err, new(*TrustError)) {
		t.Errorf("garbage: %v", err)
	}
}
