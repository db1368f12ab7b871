package checksum

import (
	"fmt"
	"io"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// An AgentKeyError is an ssh-agent that does not hold the wanted key.
type AgentKeyError struct {
	Fingerprint string   // wanted
	Held        []string // fingerprints of the keys the agent does hold
}

func (e *AgentKeyError) Error() string {
	if len(e.Held) == 0 {
		return fmt.Sprintf("ssh-agent does not hold key %s: it shows no keys (none added, or locked)", e.Fingerprint)
	}
	return fmt.Sprintf("ssh-agent does not hold key %s, only %d other(s)", e.Fingerprint, len(e.Held))
}

// AgentSigner returns the signer that ssh-agent has for pub, hardware keys
// included and keys that it holds with a certificate only, or an
// [*AgentKeyError]. The caller connects to the agent (to the
// socket that SSH_AUTH_SOCK names) and keeps the connection open for as long
// as the signer is in use.
func AgentSigner(conn io.ReadWriter, pub PublicKey) (ssh.Signer, error) {
	// Only Read and Write are shown to the client: given a Close method, it
	// would start a goroutine that lives until the connection ends.
	client := agent.NewClient(struct{ io.ReadWriter }{conn})
	signers, err := client.Signers()
	if err != nil {
		return nil, fmt.Errorf("list keys of ssh-agent: %w", err)
	}
	missing := &AgentKeyError{Fingerprint: pub.Fingerprint()}
	var certified ssh.Signer
	for _, s := range signers {
		// Parsed, because an agent shows blobs only.
		held, err := ssh.ParsePublicKey(s.PublicKey().Marshal())
		switch {
		case err != nil:
			continue // of a kind that is not known here
		case pub.equal(held):
			return s, nil
		case pub.equal(plain(held)):
			certified = show(s, plain(held))
		}
		missing.Held = append(missing.Held, fingerprint(held))
	}
	if certified != nil {
		return certified, nil
	}
	return nil, missing
}
