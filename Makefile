# `make demo` shows Bede at work, `make test` checks a change, `make test-all` checks everything on every kernel.
# The other targets are parts of these, or longer forms.

PYTHON ?= python3
BIN := .venv/bin
# Debian packages to build the extension and python-prctl, and to build and boot the machine in a box,
PACKAGES := gcc libc6-dev libcap-dev python3-dev python3-venv mmdebstrap e2fsprogs uidmap
# to build the patched kernels,
PACKAGES += make flex bison bc libelf-dev ccache patch xz-utils
# to build the fuzz targets in C: clang, and the libraries of -fsanitize=fuzzer,
PACKAGES += clang libclang-rt-dev
# and to build the Debian package.
PACKAGES += build-essential debhelper dh-python dpkg-dev fakeroot help2man lintian man-db python3-all-dev
PACKAGES += python3-cffi python3-prometheus-client python3-rich python3-setuptools python3-shtab python3-tomlkit zsh
# The name of a stamp has a hash of the files it depends on, so the times of a checkout's files do not matter.
hash = $(shell cat $(1) 2>/dev/null | sha256sum | cut -c1-16)
VENV_STAMP := .venv/stamp-venv-$(call hash,setup.py pyproject.toml Makefile bin/*)
BUILD_STAMP := .venv/stamp-build-$(call hash,setup.py native/*.py native/*.c native/*.h)

.PHONY: demo test test-all test-slice lint format unit plane fuzz vm-test kernel-debug soak deps build packages stub wheel deb clean
.NOTPARALLEL:

demo: build
	@$(BIN)/bede demo

test: lint unit plane vm-test

# Each guest test on every kernel and topology that it names. The slices divide what `make test` leaves out.
test-all: lint unit plane
	$(BIN)/pytest -q -s tests/vm --part all

SLICE ?= 1
test-slice: build
	$(BIN)/pytest -q -s tests/vm --part $(SLICE)

lint: build
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	git ls-files -z '*.c' '*.h' | xargs -0 $(BIN)/clang-format --dry-run --Werror
	git ls-files -z | xargs -0 $(BIN)/codespell
	$(BIN)/mypy --strict

format: build
	$(BIN)/ruff format .
	git ls-files -z '*.c' '*.h' | xargs -0 $(BIN)/clang-format -i

unit: build
	$(BIN)/pytest -q -n auto --dist loadfile --no-loadscope-reorder tests/fuzz tests/unit

# Kubernetes' control plane on this host, with nodes that it alone has, and the chart. They wait more than they compute.
plane: build
	$(BIN)/pytest -q -n 3 --dist loadfile --no-loadscope-reorder tests/plane tests/chart

# The fuzzing of `unit`, for longer: FUZZ_SECONDS for each C target, FUZZ_EXAMPLES for each property in Python.
FUZZ_SECONDS ?= 300
FUZZ_EXAMPLES ?= 20000
fuzz: build
	BEDE_FUZZ_SECONDS=$(FUZZ_SECONDS) BEDE_FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(BIN)/pytest -v tests/fuzz

# -s: the machines' output appears as it comes, since this takes minutes.
vm-test: build
	$(BIN)/pytest -q -s tests/vm

# The tests of the patched kernels, on kernels that notice every mistake; too slow for `test`.
kernel-debug: build
	BEDE_DEBUG_KERNELS=1 $(BIN)/pytest -q -s tests/vm/test_suite.py --part all

# The long form of some tests: hundreds of kills, many containers, thousands of cycles, fork storms.
soak: build
	BEDE_SOAK=1 $(BIN)/pytest -q tests/soak tests/plane/test_storm.py

# A copy of the tracked files: other files of a checkout must not get into a package.
CLEAN := build/package/bede
clean-copy = rm -rf $(CLEAN) && mkdir -p $(CLEAN) dist && git ls-files -z | xargs -0 cp -P --parents -t $(CLEAN)

# The wheel, built from the sdist.
wheel: build
	@$(clean-copy)
	@$(BIN)/python -m build --no-isolation --outdir dist $(CLEAN)

# The Debian package, built with the host's own Python.
deb: packages
	@$(clean-copy)
	@cd $(CLEAN) && env PATH=/usr/sbin:/usr/bin:/sbin:/bin dpkg-buildpackage -b -us -uc
	@cp build/package/bede_*.deb dist/

deps: packages $(VENV_STAMP)

build: deps $(BUILD_STAMP) build/guest/kinds build/guest/steady build/guest/loads build/guest/patterns

# Programs that the tests in the machine run in containers: static, since containers may have no libraries.
build/guest/%: tests/vm/guest/workloads/%.c vmlab/model/mark.h Makefile
	@mkdir -p build/guest
	@gcc -std=gnu11 -O2 -Wall -Wextra -Werror -static -pthread -Ivmlab/model -o $@ $(filter %.c,$^) -lm
build/guest/patterns: tests/vm/guest/workloads/algorithms.c tests/vm/guest/workloads/patterns.h

packages:
	@missing=""; \
	for p in $(PACKAGES); do \
	    dpkg-query -W -f '$${Status}' "$$p" 2>/dev/null | grep -q '^install ok installed$$' || missing="$$missing $$p"; \
	done; \
	[ -n "$$missing" ] || exit 0; \
	echo "installing Debian packages:$$missing"; \
	sudo=""; [ "$$(id -u)" -eq 0 ] || sudo=sudo; \
	$$sudo apt-get -qq update && \
	$$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 install $$missing

$(VENV_STAMP):
	@echo "making .venv"
	@[ -x $(BIN)/pip ] || $(PYTHON) -m venv .venv
	@$(BIN)/pip install -q --disable-pip-version-check -e '.[dev,plot,completion,docs,kubernetes]'
	@rm -f .venv/stamp-venv-* && touch $@

$(BUILD_STAMP):
	@echo "building the extension"
	@if [ -e native/build.py ]; then $(BIN)/python setup.py -q build_ext --force --inplace; fi
	@rm -f .venv/stamp-build-* && touch $@

# Makes the extension's type stub for mypy, after a change of native/*.cdef.h.
stub: $(VENV_STAMP)
	$(BIN)/python native/stub.py ocihook/_native.pyi

clean:
	rm -rf .venv build dist *.egg-info ocihook/_native*.so
