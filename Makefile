# `make` alone prints what there is. Needed: Go, make, git, and a C compiler for the race detector.
.DEFAULT_GOAL := help
SHELL         := bash
.SHELLFLAGS   := -eu -o pipefail -c
MAKEFLAGS     += --no-print-directory

GO            ?= go
GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK   := golang.org/x/vuln/cmd/govulncheck@v1.9.0
VULN_DB       := https://vuln.go.dev
# This module, and those of the tests that stand apart.
MODULES       := . $(patsubst %/go.mod,%,$(wildcard testdata/*/go.mod))
# The race detector links with a C compiler. Without one the tests run all the same, and say so.
RACE          := $(shell printf 'int main(void){return 0;}' | $$($(GO) env CC) -x c -o /dev/null - 2>/dev/null \
                   && [ "$$($(GO) env CGO_ENABLED)" = 1 ] && echo -race)
# The detector need not look into packages that only compute, on memory that no goroutine shares with another. None of them may use a
# generic type of sync or sync/atomic, or sync.Map: the linker might then take their copy of it for all packages, which synchronises nothing;
# or a map that a sync.Once fills, since its fast path there synchronises nothing either, and the runtime watches maps on its own.
FIPS          := crypto/internal/fips140
UNWATCHED     := regexp/... strconv math/big unicode/... encoding/base64 encoding/hex compress/flate internal/stringslite github.com/oasdiff/yaml3 \
                 $(addprefix $(FIPS)/,aes/... bigmod edwards25519/... mlkem nistec/... sha256 sha3 sha512)
WATCHED_RACE  := $(if $(RACE),$(RACE) $(patsubst %,-gcflags=%=-race=false,$(UNWATCHED)))
# The seed of random tests is a hash of what is committed, except for *.md: a run that failed fails again, and a figure that is written
# down changes nothing. SEED=n is another one.
ifndef SEED
SEED          := $(shell printf %d 0x1$$(git ls-tree -r HEAD 2>/dev/null | grep -v '\.md$$' | git hash-object --stdin 2>/dev/null | cut -c 1-7))
endif
export SEED
# When a test run counts as hung: far above what a slow machine needs.
TIMEOUT       := -timeout 40m
# How often the emulator is killed, and how many random cases each property is tried with, in the long tests.
KILLS         ?= 1000
CASES         ?= 5000
RETENTION_CASES ?= 20000
# What a test run prints: packages, failures, skips with their reasons, and what tests report; not each test that passed.
QUIET         := awk -f $(CURDIR)/.ci/quiet.awk

.PHONY: help
help: ## print this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: generate
generate: ## regenerate gen/ from api/openapi.yaml and its overlay, and the table of rows in facade/RELIABILITY.md
	$(GO) generate ./...
	@$(MAKE) reliability-rows

.PHONY: reliability-rows
reliability-rows: ## write the list of attacks and faults into facade/RELIABILITY.md
	$(GO) run ./facade/internal/acrsuite/rowbook -table facade/RELIABILITY.md

.PHONY: reliability
reliability: ## run what facade/RELIABILITY.md tells, and write the results into it; hours (FIGURES=regexp of names)
	@$(MAKE) reliability-rows
	$(GO) run ./facade/internal/acrsuite/rowbook -figures facade/RELIABILITY.md -run '$(or $(FIGURES),.)'

.PHONY: api
api: ## write the exported API into facade/api.txt, after a change that was meant
	$(GO) test -count=1 -run '^TestAPI$$' ./facade -args -api.update

.PHONY: verify
verify: ## fail unless gen/, go.mod and formatting are what the sources say
	@.ci/verify

.PHONY: modules
modules: ## fetch what the other targets need from the network
	@for m in $(MODULES); do (cd $$m && $(GO) mod download); done
	@$(GO) run $(GOLANGCI_LINT) version
	@$(GO) run $(GOVULNCHECK) -version

.PHONY: lint
lint: ## gofmt, go vet, golangci-lint, govulncheck; the last line says what was checked
	@echo '== gofmt'; bad="$$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l)"; if [ -n "$$bad" ]; then echo "not formatted:"; echo "$$bad"; exit 1; fi
	@echo '== go vet'; for m in $(MODULES); do (cd $$m && $(GO) vet ./...); done
	@echo '== golangci-lint'; for m in $(MODULES); do (cd $$m && $(GO) run $(GOLANGCI_LINT) run ./...); done
	@echo '== govulncheck'; vulnerabilities='NOT CHECKED: $(VULN_DB) cannot be reached from here'; \
	if curl -fsS -m 15 --retry 2 -o /dev/null $(VULN_DB)/index/db.json 2>/dev/null; then \
		$(GO) run $(GOVULNCHECK) ./...; vulnerabilities='none that is known'; fi; \
	echo "lint: gofmt, go vet and golangci-lint passed for $(words $(MODULES)) modules; vulnerabilities of the main module: $$vulnerabilities"

.PHONY: check
check: ## build, vet and the tests that matter for most changes, without the race detector: for the time between two edits
	$(GO) build ./...
	$(GO) vet ./...
	$(GO) test $(TIMEOUT) ./facade ./api ./facade/acr ./facade/acrtest ./facade/internal/acrsuite $$($(GO) list ./facade/internal/... | grep -v '/acrsuite') | awk '!/no test files/'

.PHONY: test
test: ## every test under the race detector, and the official Azure client against the emulator (SEED=n)
	@[ -n '$(RACE)' ] || echo 'no C compiler: the tests run WITHOUT the race detector'
	@echo 'random tests begin at SEED=$(SEED)'
	@totals="$$(mktemp -d)" && trap 'rm -rf "$$totals"' EXIT && \
	ACRKIT_TOTALS="$$totals" $(GO) test $(WATCHED_RACE) -count=1 -v $(TIMEOUT) ./... | $(QUIET) && \
	$(GO) run ./facade/internal/acrsuite/rowbook -totals "$$totals"
	cd testdata/interop && $(GO) test $(WATCHED_RACE) -v $(TIMEOUT) ./azure/... | $(QUIET)

.PHONY: test-long
test-long: ## the tests that have a long form, at full length (KILLS=1000 CASES=5000 SEQUENCES=10000 SEED=n)
	@echo 'random tests begin at SEED=$(SEED)'
	$(GO) test -v $(TIMEOUT) -run '^TestKilled$$' ./facade/cmd/acrtest -args -kills=$(KILLS) | $(QUIET)
	$(GO) test -v $(TIMEOUT) -run '^TestKill$$' ./facade/acrtest/internal/store -args -kills=$(KILLS) | $(QUIET)
	$(GO) test -count=1 -v $(TIMEOUT) ./facade/internal/acrsuite/... | $(QUIET)
	$(GO) test $(WATCHED_RACE) -v $(TIMEOUT) -run '^TestSuiteUploadReply$$/^F29' ./facade/internal/acrsuite/upload -args -upload.early=340 | $(QUIET)
	$(GO) test -count=1 -v $(TIMEOUT) ./facade/acr -args -registries=$(CASES) | $(QUIET)
	$(GO) test -v $(TIMEOUT) -run 'Interrupted$$|^TestMirrorAgain$$|^TestLayoutManyEntries$$|^TestCopyTooMuch$$|^TestCopyOddImages$$' ./facade/images | $(QUIET)
	@$(MAKE) test-upload
	@$(MAKE) test-retention
	@$(MAKE) test-model
	$(GO) test -v $(TIMEOUT) -run '^TestUploadBig$$' ./facade/internal/acrsuite/upload -args -upload.big=6144 | $(QUIET)
	$(GO) test -v $(TIMEOUT) -run '^TestDownloadProperty$$' ./facade/internal/acrsuite/download -args -download.cases=$(CASES) | $(QUIET)
	$(GO) test -v $(TIMEOUT) -run '^TestDownloadProperty$$' ./facade/internal/acrsuite/download -args -download.cases=300 -download.alone | $(QUIET)
	$(GO) test -v $(TIMEOUT) ./facade/internal/transfer -args -cases=$$((20 * $(CASES))) | $(QUIET)

.PHONY: test-retention
test-retention: ## random rules on random registries beside somebody who changes them, killed at every request (RETENTION_CASES=20000 SEED=n)
	$(GO) test -v $(TIMEOUT) -run '^TestProperty$$' ./facade/retention -args -retention.cases=$(RETENTION_CASES) | $(QUIET)
	$(GO) test -v $(TIMEOUT) -run '^TestKilled$$|^TestAccidentManyTags$$' ./facade/retention -args -retention.kill=1 | $(QUIET)
	$(GO) test -v $(TIMEOUT) -run '^TestPace$$' ./facade/retention -args -retention.manifests=50000 -retention.deletions=5000 | $(QUIET)
	$(GO) test -v $(TIMEOUT) -run '^TestMemory$$' ./facade/retention -args -retention.held=50000 | $(QUIET)

.PHONY: test-model
test-model: ## random sequences of calls by two clients, with faults, against a model (SEQUENCES=10000 SEED=n)
	$(GO) test -v $(TIMEOUT) -run '^TestModel$$' ./facade/internal/acrsuite/model -args -model.sequences=$(or $(SEQUENCES),10000) | $(QUIET)

.PHONY: mutate
mutate: ## breaks every guard in turn, each of which must turn its test red; most of an hour (GUARD=regexp for some of them)
	$(GO) test -v -p 1 -timeout=120m -run '^TestMutations$$/$(GUARD)' ./facade/internal/acrsuite/mutate ./facade/retention -args -mutate | $(QUIET)

.PHONY: test-upload
test-upload: ## random uploads with faults (CASES=5000 SEED=n)
	$(GO) test -v $(TIMEOUT) -run '^TestUploadProperty$$' ./facade/internal/acrsuite/upload -args -upload.cases=$(CASES) | $(QUIET)

.PHONY: bench-emulator
bench-emulator: ## the emulator's figures: start, upload beside a bare handler, seeding and listing
	$(GO) test -run '^$$' -bench '^(BenchmarkStart|BenchmarkUploadAgainstBare|BenchmarkLists)$$' ./facade/acrtest

.PHONY: cross
cross: ## go vet as for Windows, macOS, FreeBSD, 32-bit Linux and both kinds of WebAssembly
	@for system in windows/amd64 darwin/arm64 freebsd/amd64 linux/386 js/wasm wasip1/wasm; do \
		echo "== $$system"; GOOS=$${system%/*} GOARCH=$${system#*/} CGO_ENABLED=0 $(GO) vet ./... || exit 1; done

.PHONY: wasm
wasm: ## the library as WebAssembly under node, against the emulator (skipped without node)
	cd testdata/wasm && $(GO) test -v $(TIMEOUT) ./... | $(QUIET)

.PHONY: observe
observe: ## the adapters for OpenTelemetry and Prometheus
	cd testdata/observe && $(GO) test -v $(TIMEOUT) ./... | $(QUIET)

.PHONY: demo
demo: ## the tour: an artifact to a registry and back (DIR=path to pack, REGISTRY_ENDPOINT=url of a real registry)
	@echo 'building the tour (about a minute the first time)' >&2
	@$(GO) run ./facade/cmd/tour $(if $(DIR),-dir '$(DIR)')

.PHONY: bench
bench: ## every benchmark (BENCH=regexp)
	$(GO) test -run '^$$' -bench '$(or $(BENCH),.)' -benchmem ./...

.PHONY: bench-peers
bench-peers: ## this library beside the clients of others; about 25 minutes for a full run of 5 (ROUNDS=3 ONLY=w1,w6-man-lat)
	cd testdata/bench && $(GO) build -o bench . && rm -f results.jsonl && \
	./bench all -rounds '$(or $(ROUNDS),3)' -only '$(ONLY)' -dir "$$([ -d /dev/shm ] && echo /dev/shm || echo /tmp)" && ./bench summary results.jsonl

.PHONY: bench-growth
bench-growth: ## lists, uploads, calls, token scopes, images and plans at 1, 10 and 100 times the size: cost of one, peak memory (ROUNDS=1)
	cd testdata/bench && $(GO) build -o bench . && rm -f growth.jsonl && \
	./bench growth -rounds '$(or $(ROUNDS),1)' -peers acrkit -out growth.jsonl -dir "$$([ -d /dev/shm ] && echo /dev/shm || echo /tmp)" && \
	./bench growth-table growth.jsonl

.PHONY: emulator
emulator: ## run the emulator as a program until interrupted (ARGS=flags)
	$(GO) run ./facade/cmd/acrtest $(or $(ARGS),-listen 127.0.0.1:0 -ca-file acrtest-ca.pem)

.PHONY: interop
interop: ## the clients of others against the emulator: Azure SDK, oras, ggcr, regclient, notation, containerd, helm; skopeo, umoci, buildah, podman if installed
	cd testdata/interop && $(GO) test $(WATCHED_RACE) -v $(TIMEOUT) ./... | $(QUIET)

.PHONY: conformance
conformance: ## the OCI distribution spec's conformance program against the emulator
	cd testdata/conformance && $(GO) test $(WATCHED_RACE) -v $(TIMEOUT) ./...

.PHONY: fuzz
fuzz: ## every fuzz test in turn (FUZZTIME=1m each, FUZZ=regexp of names)
	@.ci/fuzz $(or $(FUZZTIME),10s) '$(or $(FUZZ),.)'

.PHONY: spec-diff
spec-diff: ## what a new Swagger 2.0 of the service changes, breaking changes first (SWAGGER=file)
	@[ -n '$(SWAGGER)' ] || { echo 'usage: make spec-diff SWAGGER=file'; exit 2; }
	@$(GO) test -count=1 -v -run '^TestSpecDiff$$' ./api -args -swagger='$(abspath $(SWAGGER))'

.PHONY: test-registries
test-registries: ## the library against other registries: distribution v3 and Debian's docker-registry
	cd testdata/registries && DOCKER_REGISTRY="$$($(CURDIR)/.ci/docker-registry)" $(GO) test -v $(TIMEOUT) ./... | $(QUIET)
