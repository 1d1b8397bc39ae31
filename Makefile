# Everything a contributor runs.

.PHONY: test check serve load bench counts

# Installs what is missing (with apt, as root), then formats, lints and tests. The same command runs in CI.
test:
	@./tests/run

# The quick half: no browser.
check:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo test --workspace --lib --bins
	cargo test --test tidy --test simulation --test ws_codec

serve:
	cargo run --release

# The figures of docs/performance.md: pregon and the bare loop in turns, each on a core of its own.
load:
	cargo build --release --workspace
	target/release/loadtest compare --pregon target/release/pregon --rounds 5

# The micro-benchmarks; one of them by its name: cargo bench --bench json.
bench:
	cargo bench

# Stores the instruction counts of the hot paths anew, after a change that is meant.
counts:
	cargo run --profile counts -p counts -- --update
