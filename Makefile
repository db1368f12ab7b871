# Two commands do all set-up: `make demo` and `make test`. Both need Go alone.

GO      ?= go
BIN     := $(CURDIR)/.bin
SOURCES := ./... ./testdata/regtest ./testdata/hostile
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

# What a build compiled, a test need not compile again.
export GOFLAGS := -trimpath $(GOFLAGS)

# Programs that judge our output; .judges/go.mod has their versions.
JUDGES := \
	helm.sh/helm/v3/cmd/helm \
	github.com/google/go-containerregistry/cmd/crane \
	oras.land/oras/cmd/oras \
	sigs.k8s.io/kustomize/kustomize/v5
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.7.0

FUZZTIME ?= 30s

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  \1\t/' | expand -t 12

.PHONY: build
build: ## build bin/bundle
	$(GO) build -ldflags '-s -w -X main.version=$(VERSION)' -o bin/bundle ./cmd/bundle

.PHONY: demo
demo: build ## carry a chart from one registry to another, all on this machine
	$(GO) run ./cmd/demo -bundle bin/bundle -chart testdata/charts/operator -dir .demo

.PHONY: judges
judges: $(BIN)/.judges-$(shell cksum <.judges/go.sum | cut -d' ' -f1) ## build helm, crane, oras and kustomize into .bin, to judge our output

$(BIN)/.judges-%: .judges/go.mod
	mkdir -p $(BIN)
	cd .judges && $(GO) build -buildvcs=false -o $(BIN)/ $(JUDGES)
	touch $@

.PHONY: test
test: build judges ## run all tests this machine can (CI=1: a missing judge fails)
	PATH="$(BIN):$$PATH" $(GO) test -timeout 10m ./...

.PHONY: race
race: judges ## run the library's tests under the race detector
	PATH="$(BIN):$$PATH" $(GO) test -race -short -timeout 15m ./bundle/... ./layout/... ./checksum/...

.PHONY: cover
cover: build judges ## print how much of each package the tests reach
	PATH="$(BIN):$$PATH" $(GO) test -short -timeout 10m -cover -coverpkg=./bundle/...,./layout,./checksum ./bundle/... ./layout ./checksum

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
