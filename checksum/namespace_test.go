package checksum

import (
	"errors"
	"testing"
)

// A signature for one purpose is none for another, whoever is trusted, and a line of
// allowed_signers holds for the purposes that it lists.
func TestOtherNamespace(t *testing.T) {
	private, public, err := GenerateKey("", nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ParsePrivateKey(private, nil)
	if err != nil {
		t.Fatal(err)
	}
	spaces := []string{Namespace, ReceiptNamespace, InventoryNamespace}
	for _, made := range spaces {
		armored, err := SignFor(made, message, key)
		if err != nil {
			t.Fatal(err)
		}
		for _, wanted := range spaces {
			for _, allowed := range append(spaces, "*") {
				trust := Trust{Namespace: wanted}
				if err := trust.AddAllowedSigners([]byte(`a@example.org namespaces="` + allowed + `" ` + string(public))); err != nil {
					t.Fatal(err)
				}
				_, err := trust.Verify(message, armored, now)
				ok := made == wanted && (allowed == wanted || allowed == "*")
				var why *TrustError
				if ok != (err == nil) || !ok && (!errors.As(err, &why) || why.Reason != WrongNamespace) {
					t.Errorf("made for %s, wanted for %s, allowed for %s: %v", made, wanted, allowed, err)
				}
			}
			if _, err := IdentifyFor(wanted, message, armored); (err == nil) != (made == wanted) {
				t.Errorf("made for %s, identified for %s: %v", made, wanted, err)
			}
		}
	}
}
