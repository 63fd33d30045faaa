# Everything a fresh Debian machine with a Rust toolchain needs. The targets install what they miss by apt-get
# (as root, or through sudo) and say so.

CARGO ?= cargo
SAMPLE ?= samples/upgrade-not-forwarded.pcapng

.PHONY: demo test lab samples bench growth fuzz

## demo: build, and explain a sample capture
demo:
	.ci/install build
	$(CARGO) build --release --quiet
	target/release/hop101 read $(SAMPLE) --fail-on never

## test: everything that CI runs: format, lints, both feature sets, all tests, the lab with real nginx
test:
	.ci/install build peers
	.ci/test

## lab: only the lab, with the matrix of scenarios printed
lab:
	.ci/install build peers
	$(CARGO) build --quiet
	/usr/bin/python3 tests/lab/lab.py check --hop101 target/debug/hop101 --out target/lab/out

## fuzz: each fuzz target for a minute (SECONDS=... for longer), with cargo-fuzz and a nightly compiler
SECONDS ?= 60
TARGETS ?= container decode reassembly http ws_frames tls_records whole
fuzz:
	for target in $(TARGETS); do \
	  mkdir -p target/fuzz/$$target && $(CARGO) +nightly fuzz run --fuzz-dir tests/fuzz --target-dir target/fuzz-build $$target \
	    target/fuzz/$$target tests/fuzz/corpus/$$target -- -max_total_time=$(SECONDS) -max_len=4096 -timeout=10 || exit 1; \
	done

## samples: remake samples/ from the lab
samples:
	.ci/install build peers
	/usr/bin/python3 tests/lab/lab.py samples --out samples

## bench: CPU time and memory against the limit, tcpdump and tshark (SCALE=1 for full size), then every stage by itself
bench:
	.ci/install build
	tests/benches/bench.py
	$(CARGO) bench --bench stages

## growth: peak memory over 1, 3 and 10 million short connections through a pipe; fails when it grows
growth:
	.ci/install build
	$(CARGO) build --release --quiet
	tests/benches/growth.py
