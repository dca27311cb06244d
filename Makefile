# `make demo` and `make test` are all that a fresh Debian 12 machine with Rust needs.

MODULE  := target/release/libtandem.so
MEMBER  := target/release/libkryoptic_pkcs11.so
KRYOPTIC := tests/members/kryoptic

.PHONY: help build members demo test programs support simulation fuzz miri lint bench setup-%

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile

setup-%:
	@scripts/setup.sh $*

build: setup-build ## target/release/libtandem.so and target/release/tandem
	cargo build --release --locked

members: setup-members $(MEMBER) ## the second vendor's module, for demo and tests

# Copied under another name first: a process that has the old module mapped keeps it whole.
$(MEMBER): $(addprefix $(KRYOPTIC)/,Cargo.toml Cargo.lock src/lib.rs configure-openssl .cargo/config.toml)
	cd $(KRYOPTIC) && CARGO_TARGET_DIR=target cargo build --release --locked
	mkdir -p target/release
	cp $(KRYOPTIC)/target/release/libkryoptic_pkcs11.so $@.new
	mv $@.new $@

demo: setup-demo build members ## two real tokens of two vendors become one
	scripts/demo.sh

test: setup-test build members ## every test, with real tokens and real programs
	cargo test --workspace --release --locked
	tests/opendnssec.sh
	tests/disaster.sh
	tests/runway.sh

# Not part of `make test`: it fetches other projects' own tests, and some of those wait by the clock.
programs: setup-test setup-programs build members ## programs of others on Tandem, against SoftHSM alone
	tests/programs/compare.sh

# Not part of `make test`, which holds the page against what is kept of the last such runs.
support: programs ## docs/support.md: the judge's matrix and what came of programs, kept and written
	conformance/matrix.sh target/matrix
	target/release/p11-conformance matrix --kept docs/support --runs target/matrix \
		--programs target/programs/results/summary.json --write docs/support.md

# Not part of `make test`: every placement of two troubles takes an hour and more.
simulation: setup-build ## the long runs in the simulated world: ten thousand seeds, every placement of two troubles
	cargo run --release --locked -p tandem-simulation --bin simulate -- --seeds 10000
	cargo run --release --locked -p tandem-simulation --bin simulate -- --exhaustive 1
	cargo run --release --locked -p tandem-simulation --bin simulate -- --exhaustive 2

# Not part of `make test`, which tries every target for some seconds: here all is built again for the fuzzer.
fuzz: setup-fuzz ## bytes that nobody would send, under libFuzzer: SECONDS=60 for each target
	SECONDS_EACH=$(or $(SECONDS),60) fuzz/run.sh

# Not part of `make test`: it needs nightly Rust.
miri: setup-build ## what has unsafe code and loads no library, under Miri
	scripts/miri.sh

lint: setup-lint ## formatting, clippy, dependencies, shell scripts
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	shellcheck -x -P SCRIPTDIR $$(git ls-files '*.sh') $(KRYOPTIC)/configure-openssl .ci/run
	@if command -v cargo-deny > /dev/null; then cargo deny --locked check; \
	else echo "cargo deny is missing, so dependencies were not checked: cargo install --locked cargo-deny"; fi

# The tables and charts of docs/performance.md. It takes long: tokens of 20,000 keys are made (and kept), and programs of others run
# for minutes without Tandem. A part: target/release/bench --only reads --keys 10 --write docs/performance.md
bench: setup-test build members ## how fast it is: against the vendors' own modules and p11-kit's proxy, and against bare loops
	target/release/bench --write docs/performance.md
	cargo bench -p tandem-tests --locked
