package checksum

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"bundle/testdata/judge"
)

// sshVerify asks ssh-keygen whether armored is a signature of msg by pub.
func sshVerify(t *testing.T, msg, armored []byte, pub PublicKey) (out string, ok bool) {
	t.Helper()
	keygen := judge.Path(t, "ssh-keygen")
	dir := t.TempDir()
	writeFile(t, dir, "SHA256SUMS.sig", armored)
	writeFile(t, dir, "allowed_signers", []byte(alice+` namespaces="bundle" `+pub.String()+"\n"))
	return run(t, dir, msg, keygen, "-Y", "verify", "-f", "allowed_signers", "-I", alice, "-n", "bundle", "-s", "SHA256SUMS.sig")
}

func TestSSHKeygenVerifiesOurs(t *testing.T) {
	for name, key := range signers(t) {
		t.Run(name, func(t *testing.T) {
			pub := publicKey(t, key, "")
			armored := mustSign(t, message, key)
			out, ok := sshVerify(t, message, armored, pub)
			if !ok || !strings.Contains(out, `Good "bundle" signature for `+alice) || !strings.Contains(out, pub.Fingerprint()) {
				t.Errorf("not accepted: %s", out)
			}
			if out, ok := sshVerify(t, append(message, 'x'), armored, pub); ok {
				t.Errorf("accepted for other content: %s", out)
			}
		})
	}
}

func TestOursVerifiesSSHKeygen(t *testing.T) {
	keygen := judge.Path(t, "ssh-keygen")
	const passphrase = "open sesame"
	for name, args := range map[string][]string{
		"ed25519":   {"ed25519"},
		"encrypted": {"ed25519"},
		"ecdsa-256": {"ecdsa", "-b", "256"},
		"ecdsa-384": {"ecdsa", "-b", "384"},
		"ecdsa-521": {"ecdsa", "-b", "521"},
		"rsa-3072":  {"rsa"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			makeKey(t, dir, "key", args[0], args[1:]...)
			writeFile(t, dir, "SHA256SUMS", message)
			mustRun(t, dir, nil, keygen, "-q", "-Y", "sign", "-n", "bundle", "-f", "key", "SHA256SUMS")
			theirs := readFile(t, filepath.Join(dir, "SHA256SUMS.sig"))
			other := mustRun(t, dir, message, keygen, "-q", "-Y", "sign", "-n", "file", "-f", "key")
			if name == "encrypted" {
				mustRun(t, dir, nil, keygen, "-q", "-p", "-a", "1", "-P", "", "-N", passphrase, "-f", "key")
			}

			pub, err := ParsePublicKey(readFile(t, filepath.Join(dir, "key.pub")))
			if err != nil {
				t.Fatal(err)
			}
			var trust Trust
			trust.AddKey(pub)
			signer, err := trust.Verify(message, theirs, now)
			if err != nil || signer.Comment != "made by ssh-keygen" {
				t.Errorf("got %+v, %v", signer, err)
			}
			_, err = trust.Verify(message, []byte(other), now)
			wantReason(t, err, WrongNamespace)

			// The same key in our hands: the same bytes, where the algorithm
			// leaves no choice.
			key, err := ParsePrivateKey(readFile(t, filepath.Join(dir, "key")), answer(passphrase))
			if err != nil {
				t.Fatal(err)
			}
			ours := mustSign(t, message, key)
			if out, ok := sshVerify(t, message, ours, pub); !ok {
				t.Errorf("ssh-keygen does not accept: %s", out)
			}
			if !strings.HasPrefix(name, "ecdsa") && !bytes.Equal(ours, theirs) {
				t.Errorf("ours:\n%s\ntheirs:\n%s", ours, theirs)
			}
		})
	}
}

// startAgent runs a real ssh-agent and returns the folder to work in, and a
// connection.
func startAgent(t *testing.T) (dir string, conn net.Conn) {
	t.Helper()
	// Not t.TempDir: its long path may not fit into a socket address.
	dir, err := os.MkdirTemp("", "agent")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	cmd := exec.Command(judge.Path(t, "ssh-agent"), "-D", "-a", socket)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait() // the kill is its result
	})
	// It says where it listens once it does.
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatalf("ssh-agent did not start: %v", err)
	}
	conn, err = net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("SSH_AUTH_SOCK", socket)
	return dir, conn
}

func TestAgentSigner(t *testing.T) {
	sshAdd := judge.Path(t, "ssh-add")
	dir, conn := startAgent(t)
	kinds := map[string][]string{
		"ed25519": {"ed25519"},
		"ecdsa":   {"ecdsa", "-b", "384"},
		"rsa":     {"rsa"},
	}
	absent := publicKey(t, seedKey(t, 1), "")
	_, err := AgentSigner(conn, absent)
	var missing *AgentKeyError
	if !errors.As(err, &missing) || missing.Fingerprint != absent.Fingerprint() || len(missing.Held) != 0 {
		t.Fatalf("empty agent: got %v, want an AgentKeyError", err)
	}
	for name, args := range kinds {
		makeKey(t, dir, name, args[0], args[1:]...)
		mustRun(t, dir, nil, sshAdd, "-q", name)
	}
	for name := range kinds {
		t.Run(name, func(t *testing.T) {
			pub, err := ParsePublicKey(readFile(t, filepath.Join(dir, name+".pub")))
			if err != nil {
				t.Fatal(err)
			}
			key, err := AgentSigner(conn, pub)
			if err != nil {
				t.Fatal(err)
			}
			armored := mustSign(t, message, key)
			var trust Trust
			trust.AddKey(pub)
			if _, err := trust.Verify(message, armored, now); err != nil {
				t.Error(err)
			}
			if out, ok := sshVerify(t, message, armored, pub); !ok {
				t.Errorf("ssh-keygen does not accept: %s", out)
			}
			direct, err := ParsePrivateKey(readFile(t, filepath.Join(dir, name)), nil)
			if err != nil {
				t.Fatal(err)
			}
			if name != "ecdsa" && !bytes.Equal(armored, mustSign(t, message, direct)) {
				t.Error("the agent signs otherwise than the key file")
			}
		})
	}
	_, err = AgentSigner(conn, absent)
	if !errors.As(err, &missing) || len(missing.Held) != len(kinds) || !strings.Contains(err.Error(), absent.Fingerprint()) {
		t.Errorf("got %v, want an AgentKeyError with %d others", err, len(kinds))
	}

	// Removed between the choice of the key and its use.
	pub, err := ParsePublicKey(readFile(t, filepath.Join(dir, "ed25519.pub")))
	if err != nil {
		t.Fatal(err)
	}
	key, err := AgentSigner(conn, pub)
	if err != nil {
		t.Fatal(err)
	}
	mustRun(t, dir, nil, sshAdd, "-q", "-D")
	if _, err := Sign(message, key); err == nil || !strings.Contains(err.Error(), pub.Fingerprint()) {
		t.Errorf("got %v, want an error that names the key", err)
	}
}

// tokenAgent is an agent that holds security keys: ssh-agent itself takes
// only those that are plugged in.
type tokenAgent struct {
	agent.ExtendedAgent
	keys []*securityKey
}

func (a tokenAgent) List() ([]*agent.Key, error) {
	var keys []*agent.Key
	for _, k := range a.keys {
		pub := k.PublicKey()
		keys = append(keys, &agent.Key{Format: pub.Type(), Blob: pub.Marshal()})
	}
	return keys, nil
}

func (a tokenAgent) SignWithFlags(key ssh.PublicKey, data []byte, _ agent.SignatureFlags) (*ssh.Signature, error) {
	for _, k := range a.keys {
		if bytes.Equal(k.PublicKey().Marshal(), key.Marshal()) {
			return k.Sign(nil, data)
		}
	}
	return nil, errors.New("no such key")
}

func TestAgentSignerSecurityKey(t *testing.T) {
	untouched := ed25519SecurityKey(2)
	untouched.touched = false
	held := tokenAgent{keys: []*securityKey{ed25519SecurityKey(1), ecdsaSecurityKey(t), untouched}}
	near, far := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- agent.ServeAgent(held, far) }()
	t.Cleanup(func() {
		near.Close()
		if err := <-done; !errors.Is(err, io.EOF) {
			t.Errorf("agent: %v", err)
		}
	})
	for _, k := range held.keys {
		pub := publicKey(t, k, "")
		signer, err := AgentSigner(near, pub)
		if err != nil {
			t.Fatal(err)
		}
		armored, err := Sign(message, signer)
		if !k.touched {
			if err == nil || !strings.Contains(err.Error(), "user presence") {
				t.Errorf("not touched: got %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := trustIn(t, k).Verify(message, armored, now); err != nil {
			t.Error(err)
		}
		if out, ok := sshVerify(t, message, armored, pub); !ok {
			t.Errorf("ssh-keygen does not accept: %s", out)
		}
	}
}

func TestAgentSignerBrokenConnection(t *testing.T) {
	near, far := net.Pipe()
	far.Close()
	_, err := AgentSigner(near, publicKey(t, seedKey(t, 1), ""))
	var missing *AgentKeyError
	if err == nil || errors.As(err, &missing) {
		t.Errorf("got %v, want an error other than AgentKeyError", err)
	}
}

// The commands that SPEC.md gives for a check by hand, on files as a bundle
// holds them.
func TestCheckByHand(t *testing.T) {
	judge.Path(t, "ssh-keygen")
	judge.Path(t, "sha256sum")
	shell := judge.Path(t, "sh")
	spec := string(readFile(t, "SPEC.md"))
	_, rest, ok := strings.Cut(spec, "```sh\n")
	script, _, ended := strings.Cut(rest, "```")
	if !ok || !ended {
		t.Fatal("SPEC.md has no commands")
	}
	dir := t.TempDir()
	key := seedKey(t, 7)
	content := []byte(`{"schemaVersion":2}`)
	manifest := Sums{{Name: "index.json", Digest: sha256.Sum256(content)}}.Format()
	writeFile(t, dir, "index.json", content)
	writeFile(t, dir, "SHA256SUMS", manifest)
	writeFile(t, dir, "SHA256SUMS.sig", mustSign(t, manifest, key))
	writeFile(t, dir, "release.pub", []byte(publicKey(t, key, "release").String()+"\n"))

	out := mustRun(t, dir, []byte(script), shell, "-eu")
	for _, want := range []string{`Good "bundle" signature for release`, "index.json: OK"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	for _, name := range []string{"index.json", "SHA256SUMS"} {
		whole := readFile(t, filepath.Join(dir, name))
		writeFile(t, dir, name, append(bytes.Clone(whole), '\n'))
		if out, ok := run(t, dir, []byte(script), shell, "-eu"); ok {
			t.Errorf("a change of %s goes unseen:\n%s", name, out)
		}
		writeFile(t, dir, name, whole)
	}
}
