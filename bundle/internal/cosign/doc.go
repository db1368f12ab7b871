// Package cosign checks who signed images, as cosign verify --key does, by public keys
// alone: no network root of trust, no transparency log, no certificates.
//
// The contract: a policy says which keys may sign which images. A signature counts
// only where it is over the digest that the registry gave for the reference, and a key
// of the policy made it. Both of cosign's formats are read: the simple signing document
// under the tag sha256-….sig (cosign, specs/SIGNATURE_SPEC.md), and the bundle of
// version 3 among the referrers (sigstore, protobuf-specs, bundle v0.3), which holds a
// DSSE envelope over an in-toto statement. Everything read is bounded.
//
//	policy, err := cosign.Load(ctx, "policy.yaml")
//	verdicts, err := cosign.Check(ctx, client, resolver, images, policy)
package cosign
