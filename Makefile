# Two commands do all set-up: `make demo` and `make test`. Both need Go alone.

GO      ?= go
BIN     := $(CURDIR)/.bin
SOURCES := ./... ./testdata/regtest ./testdata/hostile
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

# Programs that judge our output, built from source at these versions.
JUDGES := \
	helm.sh/helm/v3/cmd/helm@v3.22.0 \
	github.com/google/go-containerregistry/cmd/crane@v0.22.1 \
	oras.land/oras/cmd/oras@v1.3.6 \
	sigs.k8s.io/kustomize/kustomize/v5@v5.8.1
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.7.0

FUZZTIME ?= 30s

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  \1\t/' | expand -t 12

.PHONY: build
build: ## build bin/bundle
	$(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/bundle ./cmd/bundle

.PHONY: demo
demo: build ## carry a chart from one registry to another, all on this machine
	$(GO) run ./cmd/demo -bundle bin/bundle -chart testdata/charts/operator -dir .demo

.PHONY: judges
judges: $(BIN)/.judges-$(shell echo '$(JUDGES)' | cksum | cut -d' ' -f1) ## build helm, crane, oras and kustomize into .bin, to judge our output

$(BIN)/.judges-%:
	mkdir -p $(BIN)
	for j in $(JUDGES); do GOBIN=$(BIN) GOFLAGS=-buildvcs=false $(GO) install $$j || exit 1; done
	touch $@

.PHONY: test
test: build judges ## run all tests this machine can (CI=1: a missing judge fails)
	PATH="$(BIN):$$PATH" $(GO) test -timeout 10m ./...
	PATH="$(BIN):$$PATH" $(GO) test -race -short -timeout 10m ./bundle/... ./layout/... ./checksum/...

.PHONY: lint
lint: ## gofmt, vet, staticcheck; imports and sizes are checked by tests in cmd/bundle
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "not gofmt'ed:"; echo "$$unformatted"; exit 1; }
	$(GO) vet $(SOURCES)
	$(GO) run $(STATICCHECK) $(SOURCES)
	$(GO) mod verify

.PHONY: bench
bench: build judges ## measure against the limit and other programs (BENCH=-large: 10 GB)
	$(GO) test -run '^$$' -bench . -benchmem ./...
	$(GO) build -o .bench/bench ./cmd/bench
	.bench/bench -bundle bin/bundle $(BENCH)

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZTIME (30s)
	@for pkg in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x $$pkg || exit 1; \
		done; \
	done
