package inventory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"bundle/bundle/internal/disk"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/input"
	"bundle/bundle/internal/trust"
	"bundle/checksum"
)

// Read reads an inventory, and its signature in path.sig. Without a Trust, none is
// needed; one that is there still has to be valid, whoever made it.
func Read(ctx context.Context, path string, t *trust.Trust) (*Inventory, trust.Vouched, error) {
	doc, err := input.File(ctx, path, maxSize)
	if err != nil {
		return nil, trust.Vouched{}, fmt.Errorf("inventory: %w", err)
	}
	vouched, err := check(path, doc, t)
	if err != nil {
		return nil, trust.Vouched{}, fmt.Errorf("inventory %s: %w", path, err)
	}
	inv, err := parse(doc)
	if err != nil {
		return nil, trust.Vouched{}, fault.Input("inventory "+path, err, "`bundle inventory` writes one, at the registry that it is of")
	}
	return inv, vouched, nil
}

func check(path string, doc []byte, t *trust.Trust) (trust.Vouched, error) {
	who := trust.Trust{Anybody: true}
	if t != nil {
		who = *t
	}
	who.Namespace, who.Signatures = checksum.InventoryNamespace, nil
	if _, err := os.Stat(path + ".sig"); !errors.Is(err, fs.ErrNotExist) {
		who.Signatures = []string{path + ".sig"}
	}
	found, err := who.Beside()
	if err != nil {
		return trust.Vouched{}, err
	}
	v, err := who.Check(doc, found, time.Now())
	var why *checksum.TrustError
	if errors.As(err, &why) {
		return trust.Vouched{}, fault.WithHint(err, hint(why.Reason))
	}
	v.SignatureSkipped = v.SignatureSkipped || t == nil
	return v, err
}

// hint says what to do about a signature that does not hold.
func hint(r checksum.Reason) string {
	switch r {
	case checksum.Unsigned:
		return "have one made with `bundle inventory --key FILE`, and its .sig file carried beside it"
	case checksum.BadSignature, checksum.Malformed:
		return "the inventory was changed after it was signed, or the .sig file beside it is of another: have both carried again"
	case checksum.WrongNamespace:
		return "have it signed with `bundle inventory --key FILE`, and allow the namespace " + checksum.InventoryNamespace + " in allowed_signers"
	}
	return "compare the fingerprint with the one that you were told; if it is theirs, trust that key"
}

// Write writes an inventory and, with a signer, its signature, each whole or not at
// all. Without one, a signature of an earlier inventory is taken away.
func (inv *Inventory) Write(path string, s *trust.Signer) error {
	doc, err := inv.encode()
	if err != nil {
		return err
	}
	var sig []byte
	if s != nil {
		if sig, err = checksum.SignFor(checksum.InventoryNamespace, doc, s.Key); err != nil {
			return fmt.Errorf("inventory: %w", err)
		}
	}
	if err := disk.WriteFile(path, doc); err != nil {
		return fmt.Errorf("inventory: %w", err)
	}
	if sig == nil {
		err = os.Remove(path + ".sig")
	} else {
		err = disk.WriteFile(path+".sig", sig)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("inventory: %w", err)
	}
	return nil
}
