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
# What a test run prints: packages, failures, skips with their reasons, and the contract's report; not each test that passed.
QUIET         := awk -f $(CURDIR)/.ci/quiet.awk

.PHONY: help
help: ## print this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: generate
generate: ## regenerate gen/ from api/openapi.yaml and its overlay
	$(GO) generate ./...

.PHONY: verify
verify: ## fail unless gen/, go.mod and formatting are what the sources say
	@.ci/verify

.PHONY: lint
lint: ## gofmt, go vet, golangci-lint, govulncheck
	@echo '== gofmt'; bad="$$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l)"; if [ -n "$$bad" ]; then echo "not formatted:"; echo "$$bad"; exit 1; fi
	@echo '== go vet'; for m in $(MODULES); do (cd $$m && $(GO) vet ./...); done
	@echo '== golangci-lint'; for m in $(MODULES); do (cd $$m && $(GO) run $(GOLANGCI_LINT) run ./...); done
	@echo '== govulncheck'; if curl -fsS -m 15 -o /dev/null $(VULN_DB)/index/db.json 2>/dev/null; then $(GO) run $(GOVULNCHECK) ./...; \
	else echo 'skipped: the vulnerability database $(VULN_DB) cannot be reached from here'; fi

.PHONY: test
test: ## every test under the race detector, and the official Azure client against the emulator
	@[ -n '$(RACE)' ] || echo 'no C compiler: the tests run WITHOUT the race detector'
	$(GO) test $(RACE) -v -timeout 10m ./... | $(QUIET)
	cd testdata/interop && $(GO) test $(RACE) -v -timeout 5m ./azure/... | $(QUIET)

.PHONY: demo
demo: ## the tour: an artifact there and back (DIR=path to pack, REGISTRY_ENDPOINT=url to go to)
	@echo 'building the tour (about a minute the first time)' >&2
	@$(GO) run ./facade/cmd/tour $(if $(DIR),-dir '$(DIR)')

.PHONY: bench
bench: ## every benchmark (BENCH=regexp)
	$(GO) test -run '^$$' -bench '$(or $(BENCH),.)' -benchmem ./...

.PHONY: emulator
emulator: ## the emulator as a program (ARGS=flags)
	$(GO) run ./facade/cmd/acrtest $(or $(ARGS),-listen 127.0.0.1:0 -ca-file acrtest-ca.pem)

.PHONY: interop
interop: ## Azure SDK, azidentity, oras-go, go-containerregistry, regclient against the emulator
	cd testdata/interop && $(GO) test $(RACE) -v -timeout 10m ./... | $(QUIET)

.PHONY: conformance
conformance: ## the OCI distribution spec's conformance program against the emulator
	cd testdata/conformance && $(GO) test $(RACE) -v -timeout 10m ./...

.PHONY: fuzz
fuzz: ## every fuzz test in turn (FUZZTIME=1m each)
	@.ci/fuzz $(or $(FUZZTIME),10s)

.PHONY: spec-diff
spec-diff: ## what a new Swagger 2.0 of the service changes, breaking changes first (SWAGGER=file)
	@[ -n '$(SWAGGER)' ] || { echo 'usage: make spec-diff SWAGGER=file'; exit 2; }
	@$(GO) test -count=1 -v -run '^TestSpecDiff$$' ./api -args -swagger='$(abspath $(SWAGGER))'

.PHONY: test-registries
test-registries: ## the /v2 side against distribution v3 and Debian's docker-registry
	cd testdata/registries && DOCKER_REGISTRY="$$($(CURDIR)/.ci/docker-registry)" $(GO) test -v -timeout 15m ./... | $(QUIET)
