# A thin front: meson.build holds the build, scripts/ the work.

ROOT ?= site
PREFIX ?= /usr/local
STEPS ?=
export PREFIX LIBDIR MESON_OPTIONS

.PHONY: build run test sweep mutations lint format bench install clean

# The tool at build/soquete, the library in build/src.
build:
	@scripts/setup.sh build
	@scripts/build.sh release

# Serve a folder to a browser: make run ROOT=~/Music
run: build
	@exec build/soquete serve --root '$(ROOT)'

# Everything, or some steps of it: make test STEPS="unit contract"
test:
	@scripts/setup.sh test
	@scripts/test.sh $(STEPS)

# Simulations under many seeds, each twice: make sweep SEEDS=10000
SEEDS ?= 1000
sweep:
	@scripts/setup.sh build
	@scripts/build.sh release all-sweeps
	@build/tests/sweep --seeds $(SEEDS) --twice

# Plant bugs, one after the other, and see the tests find them: make mutations MUTATIONS=epoll
MUTATIONS ?=
mutations:
	@scripts/setup.sh mutations
	@scripts/mutations.py $(MUTATIONS)

lint:
	@scripts/setup.sh lint
	@scripts/lint.sh

# As .clang-format says, every C file.
format:
	@scripts/setup.sh lint
	@scripts/lint.sh --format

bench:
	@scripts/setup.sh bench
	@scripts/build.sh release all all-bench
	@python3 bench/run.py

install: build
	@scripts/install.sh '$(DESTDIR)'

clean:
	rm -rf build build-*
