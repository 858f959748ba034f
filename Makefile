.PHONY: help build test race e2e bench lint rewrite

help: ## list the tasks
	@sed -n 's/^\([a-z0-9]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

build: ## build the program, as ./weir
	go build -o weir ./cmd/weir

test: ## all tests that need nothing but Go
	go test ./...

race: ## the same under the race detector
	go test -race -timeout 15m ./...

e2e: ## install AWS's clients and drive the program with them
	.ci/clients
	go test -tags e2e -count 1 -timeout 15m ./test/e2e

bench: ## measure, and write BENCHMARKS.md
	go run ./bench

lint: ## gofmt, go vet and staticcheck
	@test -z "$$(gofmt -l .)" || { gofmt -l . && exit 1; }
	go vet ./...
	go vet -tags e2e ./test/...
	go build -C .ci/tools -o "$$(go env GOCACHE)/weir-staticcheck" honnef.co/go/tools/cmd/staticcheck
	"$$(go env GOCACHE)/weir-staticcheck" ./...
	"$$(go env GOCACHE)/weir-staticcheck" -tags e2e ./test/...

rewrite: ## regenerate the effects in admission's scripts
	go test ./admission -run Scripts -rewrite
