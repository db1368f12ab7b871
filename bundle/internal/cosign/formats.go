package cosign

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/layout/strict"
)

// Media types and names of cosign and sigstore.
const (
	simpleSigning   = "application/vnd.dev.cosign.simplesigning.v1+json"
	signatureKey    = "dev.cosignproject.cosign/signature"
	sigstoreBundle  = "application/vnd.dev.sigstore.bundle"
	statementType   = "application/vnd.in-toto+json"
	predicateSigned = "https://sigstore.dev/cosign/sign/v1"
	simpleType      = "cosign container image signature"
)

// maxPayload bounds one signed document, in bytes, maxLayers how many one artifact may
// have.
const (
	maxPayload = 4 << 20
	maxLayers  = 1000
)

// rules are those of documents that other programs write: they may have any keys.
var rules = strict.Rules{Bytes: maxPayload, Depth: 64, Values: 100_000, AnyCase: true}

// An envelope is a signed text.
type envelope struct {
	text      []byte // what the signature is over
	signature []byte
}

// isSignature reports whether a layer may hold a signature.
func isSignature(d ocispec.Descriptor) bool {
	return d.MediaType == simpleSigning || strings.HasPrefix(d.MediaType, sigstoreBundle)
}

// read takes the signatures out of a layer. What it returns is about the digest, if the
// signature is good.
func read(d ocispec.Descriptor, content []byte, about digest.Digest) ([]envelope, error) {
	if d.MediaType == simpleSigning {
		return readSimple(d, content, about)
	}
	return readBundle(content, about)
}

// readSimple reads a simple signing document; the signature is beside it.
func readSimple(d ocispec.Descriptor, content []byte, about digest.Digest) ([]envelope, error) {
	signature, err := base64.StdEncoding.DecodeString(d.Annotations[signatureKey])
	if err != nil || len(signature) == 0 {
		return nil, fmt.Errorf("annotation %s holds no signature", signatureKey)
	}
	var doc struct {
		Critical struct {
			Type  string `json:"type"`
			Image struct {
				Digest digest.Digest `json:"docker-manifest-digest"`
			} `json:"image"`
		} `json:"critical"`
	}
	if err := rules.Decode(content, &doc); err != nil {
		return nil, err
	}
	if doc.Critical.Type != simpleType {
		return nil, fmt.Errorf("a document of type %q", doc.Critical.Type)
	}
	if doc.Critical.Image.Digest != about {
		return nil, fmt.Errorf("the signature is for %s", doc.Critical.Image.Digest)
	}
	return []envelope{{content, signature}}, nil
}

// readBundle reads a sigstore bundle with a DSSE envelope
// (https://github.com/secure-systems-lab/dsse/blob/master/protocol.md).
func readBundle(content []byte, about digest.Digest) (all []envelope, err error) {
	var doc struct {
		Envelope *struct {
			Payload     []byte `json:"payload"`
			PayloadType string `json:"payloadType"`
			Signatures  []struct {
				Sig []byte `json:"sig"`
			} `json:"signatures"`
		} `json:"dsseEnvelope"`
	}
	if err := rules.Decode(content, &doc); err != nil {
		return nil, err
	}
	if doc.Envelope == nil {
		return nil, errors.New("a sigstore bundle without a DSSE envelope")
	}
	if doc.Envelope.PayloadType != statementType {
		return nil, fmt.Errorf("an envelope around %q", doc.Envelope.PayloadType)
	}
	if err := checkStatement(doc.Envelope.Payload, about); err != nil {
		return nil, err
	}
	text := fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(statementType), statementType, len(doc.Envelope.Payload), doc.Envelope.Payload)
	for _, s := range doc.Envelope.Signatures {
		all = append(all, envelope{text, s.Sig})
	}
	return all, nil
}

// checkStatement requires that an in-toto statement is a signature of an image, and no
// attestation of something about it.
func checkStatement(payload []byte, about digest.Digest) error {
	var doc struct {
		Type    string `json:"_type"`
		Subject []struct {
			Digest map[string]string `json:"digest"`
		} `json:"subject"`
		PredicateType string          `json:"predicateType"`
		Predicate     json.RawMessage `json:"predicate"`
	}
	if err := rules.Decode(payload, &doc); err != nil {
		return err
	}
	switch {
	case !strings.HasPrefix(doc.Type, "https://in-toto.io/Statement/"):
		return fmt.Errorf("a document of type %q", doc.Type)
	case doc.PredicateType != predicateSigned:
		return fmt.Errorf("a statement of type %q, and no signature", doc.PredicateType)
	case !slices.ContainsFunc(doc.Subject, func(s struct {
		Digest map[string]string `json:"digest"`
	}) bool {
		return s.Digest[string(about.Algorithm())] == about.Encoded()
	}):
		return errors.New("the signature is for another digest")
	}
	return nil
}
