# Two commands do all set-up: `make demo` and `make test`. Both need Go alone.
# `make` without a target lists what there is.

GO       ?= go
BIN      := $(CURDIR)/.bin
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT   ?= $(shell git rev-parse HEAD 2>/dev/null)
FUZZTIME ?= 30s

# As in a release: static programs, and names are looked up the way Go does it.
export CGO_ENABLED := 0

# ./... leaves out what lies below testdata.
SOURCES     := ./... ./testdata/hostile ./testdata/judge ./testdata/regtest ./testdata/relay ./.mutate ./.wine
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.7.0

# Packages whose tests ask the programs that `make judges` builds.
JUDGED := ./bundle/internal/chart ./bundle/internal/emit ./bundle/internal/relocate ./cmd/bundle ./testdata/judge

# Packages that run things side by side.
RACING := ./bundle/... ./layout/... ./checksum/...

# `make lint` vets; to do it again for each test takes longer than most tests. Some tests
# wait for a fault to pass, so more of them run at once than there are processors; many
# more would only be in each other's way.
CORES := $(or $(shell getconf _NPROCESSORS_ONLN 2>/dev/null),2)
TEST  := $(GO) test -vet=off -ldflags='-s -w' -parallel $(shell expr 2 '*' $(CORES)) -timeout 30m

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9]+):.*## /  \1\t/' | expand -t 12

# Not with -trimpath: that shares nothing with what tests and demo compile.
.PHONY: build
build: ## build bin/bundle (for others: BUILDFLAGS=-trimpath)
	$(GO) build $(BUILDFLAGS) -ldflags '-s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)' -o bin/bundle ./cmd/bundle

.PHONY: demo
demo: build ## carry a chart from one registry to another, all on this machine
	$(GO) run ./cmd/demo -bundle bin/bundle -chart testdata/charts/operator -dir .demo

.PHONY: test
test: ## run all tests this machine can (CI=1: a missing judge fails)
	@$(MAKE) --no-print-directory -j2 testjudged testother

# Judges are compiled while the tests that need none run. Each of the two takes half of
# the processors.
HALF := -p $(shell expr '(' $(CORES) + 1 ')' / 2)
.PHONY: testjudged testother
testjudged: build judges
	$(TEST) $(HALF) $(JUDGED)
testother: build
	$(TEST) $(HALF) $$($(GO) list ./... ./testdata/regtest | grep -vxF "$$($(GO) list $(JUDGED))")

.PHONY: race
race: export CGO_ENABLED = 1
race: export GORACE = atexit_sleep_ms=0 # else each process waits a second at its end
race: ## look for data races in the packages that run things side by side
	$(TEST) -race -short $(RACING)

# What happens to bundles and registries, at random: N further lives, each with a seed
# that plays it again (SEED=n N=1).
N ?= 50

.PHONY: life
life: ## play N lives of bundles and registries at random (SEED=n: from that one on)
	BUNDLE_LIVES=$(N) BUNDLE_LIFE_SEED=$(SEED) $(GO) test -vet=off -timeout 2h ./bundle -run '^TestLife$$' -v

# The judges are a module of their own, with the program's versions of what both
# use: after the program there is little left to compile.
JUDGE := cd .judges && $(GO) build -buildvcs=false -ldflags='-s -w'

.PHONY: judges
judges: $(BIN)/.judges ## build helm, crane, oras, kustomize, what k3s pulls with and the conformance tests of OCI registries into .bin, to judge our output

$(BIN)/.judges: .judges/go.mod .judges/answers/answers.go .judges/helms3/main.go .judges/nodepull/go.mod .judges/nodepull/main.go | build
	mkdir -p $(BIN)
	$(JUDGE) -o $(BIN)/ helm.sh/helm/v3/cmd/helm ./helms3 github.com/google/go-containerregistry/cmd/crane \
		oras.land/oras/cmd/oras sigs.k8s.io/kustomize/kustomize/v5 github.com/opencontainers/distribution-spec/conformance
	cd .judges/nodepull && $(GO) build -buildvcs=false -ldflags='-s -w' -o $(BIN)/ .
	touch $@

.PHONY: helm4
helm4: $(BIN)/helm4 $(BIN)/helms4 ## build Helm 4 into .bin, a judge more

$(BIN)/helm4: .judges/go.mod | judges
	$(JUDGE) -o $@ helm.sh/helm/v4/cmd/helm

# The same, asked many times in one process.
$(BIN)/helms4: .judges/go.mod .judges/answers/answers.go .judges/helms4/main.go | judges
	$(JUDGE) -o $@ ./helms4

.PHONY: lint
lint: ## gofmt, vet, staticcheck; imports and sizes are checked by tests in cmd/bundle
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "not gofmt'ed:"; echo "$$unformatted"; exit 1; }
	$(GO) vet $(SOURCES)
	$(GO) run $(STATICCHECK) $(SOURCES)
	$(GO) mod verify

.PHONY: cover
cover: ## list the functions that no test reaches; the rest is in .cover.html
	$(TEST) -short -coverpkg=./bundle/...,./layout,./checksum -coverprofile=.cover.out $(RACING)
	$(GO) tool cover -html .cover.out -o .cover.html
	$(GO) tool cover -func .cover.out | awk '$$NF == "0.0%" { print $$1, $$2 } END { print "reached in all:", $$NF }'

.PHONY: mutate
mutate: ## change the code of PKG at random (N times) and name what no test notices
	$(GO) run ./.mutate -n $(or $(N),40) $(PKG)

# What strangers install. The tools for it are a module of their own, like the judges.
PLATFORMS ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

.PHONY: release
release: export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null)
release: ## make archives, packages, an image and SHA256SUMS in dist (RELEASE_KEY=FILE signs)
	cd .release && $(GO) run . -version '$(VERSION)' -commit '$(COMMIT)' -key '$(abspath $(RELEASE_KEY))' $(PLATFORMS)

WINE := $(CURDIR)/.bench/wine

.PHONY: wine
wine: ## run the program for Windows under wine, which has to be installed
	GOOS=windows GOARCH=amd64 $(GO) build -ldflags '-s -w -X main.version=dev' -o bin/bundle.exe ./cmd/bundle
	mkdir -p $(WINE)
	$(GO) run ./.wine $(WINE)
	BUNDLE_EXE=$(CURDIR)/bin/bundle.exe WINEPREFIX=$(WINE) $(GO) test -vet=off -count=1 ./cmd/bundle -run '^TestWine$$'

.PHONY: bench
bench: build judges ## measure against the limit and other programs (BENCH=-large: 10 GB; BENCH='-charts DIR': values of charts; BENCH='-only sets': that alone)
	$(if $(filter -only,$(BENCH)),,$(GO) test -run '^$$' -bench . -benchmem ./...)
	$(GO) build -o .bench/bench ./cmd/bench
	.bench/bench -bundle bin/bundle $(BENCH)

.PHONY: page
page: build ## judge the page for people in chromium with axe, and take its pictures into .bench/page
	.page/run $(CURDIR)/bin/bundle $(CURDIR)/.bench/page

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZTIME (30s)
	@for pkg in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x $$pkg || exit 1; \
		done; \
	done
