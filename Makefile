# What a person types; the work is done by Meson, Ninja and the scripts in tools/. `make help` lists the targets.
.DEFAULT_GOAL := build
.PHONY: check-cuda check-cuda-text docs soak image lint format clean
.PHONY: conformance help setup build demo check check-isa check-arm check-san check-tsan fuzz-smoke size man install
MAKEFLAGS += --no-print-directory
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 30
SLIPWAY_MODEL ?= models/person.onnx

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 17

setup: ## install what building and testing need (Debian, Ubuntu)
	@tools/setup build test

build: ## build/slipway
	@tools/setup build
	@tools/configure build --prefix=$(PREFIX)
	@ninja -C build --quiet

demo: build ## find what is in a well-known picture and draw it
	@SLIPWAY_MODEL='$(SLIPWAY_MODEL)' tools/demo

check: setup build ## all tests; ends with "N passed, N failed, N skipped"
	@tools/fetch-picture || echo "no picture: a test will be skipped"
	@tools/check gates unit python

conformance: setup build ## the node tests of the ONNX standard, by operator
	@tools/venv && build/venv/bin/python tests/py/test_conformance.py

check-isa: build ## unit tests with fewer and fewer instruction sets allowed
	@tools/check isa

check-arm: ## unit tests as a 64-bit Arm with NEON and BFDOT runs them, in QEMU
	@tools/setup build arm
	@tools/configure build-arm --cross-file tests/arm64.ini
	@ninja -C build-arm --quiet unit
	@tools/check --build build-arm --under 'qemu-aarch64 -cpu max' unit

check-cuda-text: ## compile all GPU kernels for all architectures (needs NVRTC; no GPU)
	@tools/check-cuda-text

check-cuda: setup build ## kernels and networks on a GPU against the CPU; ends with "N passed, N failed, N skipped"
	@SLIPWAY_TEST_GPU=1 tools/check unit=cuda,gpu python=cuda,serve_gpu

check-san: ## unit tests and mutated files under the address and undefined behaviour sanitizers
	@tools/setup build test
	@tools/configure build-san -Db_sanitize=address,undefined -Dbuildtype=debugoptimized
	@ninja -C build-san --quiet
	@tools/check --build build-san unit mutations

check-tsan: ## thread pool, sessions and serving under the thread sanitizer
	@tools/setup build
	@tools/configure build-tsan -Db_sanitize=thread -Dbuildtype=debugoptimized
	@ninja -C build-tsan --quiet unit
	@tools/check --build build-tsan unit=pool,session,serve

soak: setup build ## traffic of every kind on a server for 10 minutes, 10,000 idle connections, 1,000 reloads: memory stays
	@tools/venv && build/venv/bin/python tests/py/soak.py

fuzz-smoke: ## every fuzz target for FUZZ_SECONDS (30), with clang's libFuzzer
	@tools/setup build fuzz
	@CC=clang tools/configure build-fuzz -Dfuzzers=true -Db_sanitize=address,undefined -Db_lundef=false \
	  -Dbuildtype=debugoptimized
	@ninja -C build-fuzz --quiet
	@FUZZ_SECONDS=$(FUZZ_SECONDS) tools/check --build build-fuzz fuzz

docs: ## the C API as pages, by Doxygen, into build/docs/html
	@tools/setup docs
	@mkdir -p build/docs && doxygen docs/Doxyfile

size: build ## bytes of the program, room by room, and of the libraries
	@tools/size

man: build ## manual pages into build/man
	@tools/make-man build/slipway build/man

image: build ## an image for container engines in build/slipway-oci.tar (no engine needed)
	@tools/oci-image build/slipway-oci.tar

install: build man ## program and manual pages, under PREFIX (/usr/local)
	@meson install -C build --quiet
	@install -d '$(DESTDIR)$(PREFIX)/share/man/man1'
	@install -m 644 build/man/*.1 '$(DESTDIR)$(PREFIX)/share/man/man1'

lint: build ## cppcheck and clang-tidy, where installed (advice, no gate)
	@tools/lint build

format: ## clang-format on the lines that you changed since the last commit
	@git clang-format --force HEAD

clean: ## remove everything that was built
	@rm -rf build build-arm build-san build-tsan build-fuzz
