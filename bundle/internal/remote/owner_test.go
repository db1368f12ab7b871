package remote

import (
	"errors"
	"net/http"
	"strings"
	"testing"
)

// What the owner of a registry has to do depends on what runs there, which its
// host or its challenge tells.
func TestFlavours(t *testing.T) {
	for _, tt := range []struct {
		host, challenge string
		want            flavour
	}{
		{"123456789012.dkr.ecr.eu-central-1.amazonaws.com", "", ecr},
		{"ecr.corp.example", `Basic realm="https://ecr.corp.example/",service="ecr.amazonaws.com"`, ecr},
		{"harbor.corp.example:8443", `Bearer realm="https://harbor.corp.example/service/token",service="harbor-registry"`, harbor},
		{"quay.io", "", quay},
		{"mirror.corp.example", `Bearer realm="https://quay.io/v2/auth",service="quay.io"`, quay},
		{"registry.gitlab.com", "", gitlab},
		{"git.corp.example:5050", `Bearer realm="https://git.corp.example/jwt/auth",service="container_registry",scope="repository:a:pull"`, gitlab},
		{"git.corp.example:5050", `bearer service = "container_registry" , realm = "https://git.corp.example/jwt/auth"`, gitlab},
		{"reg.corp.example", `Bearer realm="https://auth.corp.example/token",service="container_registry"`, unknown},
		{"amazonaws.com", "", unknown},
		{"reg.corp.example", `Basic realm="registry"`, unknown},
		{"reg.corp.example", "", unknown},
	} {
		if got := flavourOf(tt.host, tt.challenge); got != tt.want {
			t.Errorf("%s %s: %d, want %d", tt.host, tt.challenge, got, tt.want)
		}
	}
}

func TestAskOwner(t *testing.T) {
	missing := &Error{Kind: NotFound, Err: errors.New("x")}
	denied := &Error{Kind: Denied, Err: errors.New("x")}
	auth := &Error{Kind: Auth, Err: errors.New("x")}
	for _, tt := range []struct {
		name      string
		challenge string
		closed    map[string]error
		want, not []string
	}{
		{"nothing", "", nil, nil, []string{"a"}},
		{"missing at any", "", map[string]error{"reg.local/a/b": missing}, []string{"have these repositories made", "aws ecr create-repository", "Harbor:", "Quay:", "GitLab:"}, []string{"right", "parts only"}},
		{"missing at Harbor", `Bearer realm="https://x/service/token",service="harbor-registry"`, map[string]error{"reg.local/a/b": missing}, []string{"Harbor: a project"}, []string{"aws", "Quay", "GitLab"}},
		{"missing at ECR", "", map[string]error{"1.dkr.ecr.us-east-1.amazonaws.com/a": missing}, []string{"aws ecr create-repository"}, []string{"Harbor", "GitLab"}},
		{"denied", "", map[string]error{"reg.local/a/b": denied}, []string{"ask for the right to push"}, []string{"made", "parts only", "log in"}},
		{"denied and deep", "", map[string]error{"reg.local/a/b": denied, "reg.local/a/b/c": denied}, []string{"ask for the right to push", "--names flat"}, []string{"made"}},
		{"nobody is logged in", "", map[string]error{"reg.local/a": auth}, []string{"log in to reg.local"}, []string{"right"}},
		{"some of each", "", map[string]error{"reg.local/a": denied, "reg.local/b": missing}, []string{"ask for the right to push", "have these"}, nil},
		{"another error", "", map[string]error{"reg.local/a": errors.New("x")}, nil, []string{"a"}},
	} {
		c, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		c.transport.note("reg.local", &http.Response{StatusCode: 401, Header: http.Header{"Www-Authenticate": {tt.challenge}}})
		got := c.AskOwner(tt.closed)
		for _, part := range tt.want {
			if !strings.Contains(got, part) {
				t.Errorf("%s: %q lacks %q", tt.name, got, part)
			}
		}
		for _, part := range tt.not {
			if strings.Contains(got, part) {
				t.Errorf("%s: %q has %q", tt.name, got, part)
			}
		}
		c.Close()
	}
}
