# Noctua: a thin front to meson. "make help" lists what there is.
#
# Each target first makes sure of the packages and of libraft (deploy/bootstrap), sets up its build
# directory once, and leaves the rest to ninja: a second run installs and rebuilds nothing.

PREFIX ?= /usr/local
DESTDIR ?=

SOURCES = git ls-files -z '*.c' '*.h'
NINJA = ninja --quiet

.DEFAULT_GOAL := all
SEEDS ?= 1000
JOBS ?= $(shell nproc)
SECONDS_EACH ?= 60
.PHONY: all demo bench sim mutants coverage fuzz model test test-mongo test-fast install fmt fmt-check tidy reference diagrams clean help

all: ## build everything into build/release (default)
	@deploy/bootstrap/configure release
	@$(NINJA) -C build/release

demo: ## three regions on loopback, one dies, the service and its replica set move; KEEP=1 leaves it running, MODE=observe only watches
	@deploy/bootstrap/install demo
	@deploy/bootstrap/configure release
	@$(NINJA) -C build/release
	@tests/demo/run

bench: ## durable writes and failover of the log, etcd beside it; real replica sets' moves; half an hour
	@deploy/bootstrap/install bench
	@deploy/bootstrap/configure release
	@$(NINJA) -C build/release
	@tests/bench/run

SIM_BUILD = $(if $(filter small,$(LIMITS)),small,release)
sim: ## whole groups on virtual time: SEEDS=1000 from SEED=1 on, JOBS=2; SEED=7 TRACE=1 tells one world's story, SHRINK=1 makes it smaller; LIMITS=small: tables soon full, more worlds a second
	@deploy/bootstrap/configure $(SIM_BUILD)
	@$(NINJA) -C build/$(SIM_BUILD) tests/sim/noctua-sim
	@build/$(SIM_BUILD)/tests/sim/noctua-sim $(if $(SEED),--seed $(SEED)) \
	    $(if $(SECONDS),--seconds $(SECONDS)) $(if $(WITHOUT),--without $(WITHOUT)) \
	    $(if $(SMALL),--small) $(if $(SET),--set) $(if $(SALT),--salt $(SALT)) \
	    $(if $(STAGED),--staged $(STAGED)) \
	    $(if $(TRACE),--trace,$(if $(SHRINK),--shrink,--seeds $(SEEDS) --jobs $(JOBS)))

mutants: ## deliberate bugs, each of which the simulator must find; some minutes to half an hour
	@deploy/bootstrap/install test
	@deploy/bootstrap/configure debug
	@tests/sim/mutants

coverage: ## lines and branches of coordinator/core that its unit tests run, with those they don't
	@deploy/bootstrap/install test
	@tests/coverage --missed

fuzz: ## every decoder of outside bytes, by libFuzzer: SECONDS_EACH=60, or RUNS=n; TARGET=xml for one
	@SECONDS_EACH='$(SECONDS_EACH)' RUNS='$(RUNS)' TARGET='$(TARGET)' tests/fuzz/run

model: ## every reachable state of the protocol's models; NAME=move-no-burn TRACE=1 tells a counterexample
	@deploy/bootstrap/install test
	@tests/model/check $(if $(TRACE),--trace) $(NAME)

test: ## every test: format, unit, simulator, models, coverage, clang-tidy, integration, sanitizers
	@tests/run

test-mongo: ## moves with replica sets, all of them: on the test world's and on each real mongod of NOCTUA_MONGOD=path[:path]
	@deploy/bootstrap/install test
	@deploy/bootstrap/configure debug
	@$(NINJA) -C build/debug
	@NOCTUA_MONGO=all NOCTUA_BUILD=$(CURDIR)/build/debug PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m pytest \
	    tests/integration/test_mongo_*.py tests/integration/test_world_mongo.py -n 2 -v --tb=short --durations=10 -p no:cacheprovider

test-fast: ## format and unit tests only
	@tests/run format unit

install: ## install below $(DESTDIR)$(PREFIX) (PREFIX=/usr/local)
	@deploy/bootstrap/configure release
	@grep -qsx '$(PREFIX)' build/release/.prefix || { \
	    meson configure build/release --prefix=$(PREFIX) && echo '$(PREFIX)' >build/release/.prefix; }
	@$(NINJA) -C build/release >build/install.log || { tail -n 40 build/install.log; exit 1; }
	@meson install -C build/release --no-rebuild --quiet $(if $(DESTDIR),--destdir=$(abspath $(DESTDIR)))

fmt: ## format all C files with clang-format
	@deploy/bootstrap/install test
	@$(SOURCES) | xargs -0 -r clang-format -i

fmt-check: ## fail if a C file isn't formatted
	@tests/run format

tidy: ## clang-tidy over all C files (cached by content)
	@tests/run tidy

reference: ## write docs/cli.md and docs/configuration.md from the tables in the code
	@deploy/bootstrap/configure release
	@$(NINJA) -C build/release reference

diagrams: ## write the state diagrams of docs/ from the tables in the code
	@deploy/bootstrap/configure release
	@$(NINJA) -C build/release diagrams

clean: ## remove what was built; keeps libraft in build/deps
	@find build -mindepth 1 -maxdepth 1 ! -name deps -exec rm -rf {} + 2>/dev/null || true

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
