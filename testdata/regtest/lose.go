package regtest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"

	"github.com/opencontainers/go-digest"
)

// DeleteManifest takes a manifest away by "repository@digest", and every tag that
// stands for it.
func (r *Registry) DeleteManifest(ctx context.Context, ref string) error {
	repo, d := splitRef(ref)
	return r.lose(ctx, repo, "manifests/"+d)
}

// DeleteBlob takes a blob out of a repository.
func (r *Registry) DeleteBlob(ctx context.Context, repo string, d digest.Digest) error {
	return r.lose(ctx, repo, "blobs/"+d.String())
}

func (r *Registry) lose(ctx context.Context, repo, path string) error {
	req, err := r.request(ctx, http.MethodDelete, repo, path)
	if err != nil {
		return err
	}
	_, _, err = r.do(req, http.StatusAccepted)
	return err
}

// GarbageCollect runs the clean-up of docker-registry on the storage of a registry
// with a folder that StartProcess has started. With untagged it takes manifests without a tag,
// the children of tagged indexes among them.
func (r *Registry) GarbageCollect(ctx context.Context, untagged bool) error {
	if r.config == "" || r.opts.Dir == "" {
		return errors.New("regtest: no process with a folder")
	}
	args := []string{"garbage-collect"}
	if untagged {
		args = append(args, "-m")
	}
	out, err := exec.CommandContext(ctx, ProcessName, append(args, r.config)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("regtest: %v: %w\n%.2000s", args, err, out)
	}
	return nil
}
