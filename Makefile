# Everything a contributor runs.

.PHONY: test check client web screenshots lighthouse next-demo ten-minutes conformance monkey wander soak simulate mutants fuzz fuzz-corpus serve django-demo cluster-demo cluster-load load bench counts bench-peers bench-peers-full

# Installs what is missing (with apt, as root), then formats, lints and tests. The same command runs in CI.
test:
	@./tests/run

# The quick half: no browser.
check:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo test --workspace --lib --bins
	cargo test --workspace --test tidy
	cargo test --workspace --test it -- codec:: simulation::

# The client for browsers: types, tests with a real server and a real browser, sizes. Under two minutes.
client: client/node_modules
	cargo build -p pregon
	cd client && npm test

# web/pregon.js, which is the client as the page loads it, after a change of client/src.
web: client/node_modules
	cd client && node scripts/web.mjs

client/node_modules: client/package-lock.json
	cd client && npm ci --no-audit --no-fund
	touch $@

# The pictures of README.md and docs/images, taken anew of the page in web/. The machine needs fonts with emoji (fonts-noto-color-emoji).
screenshots: client/node_modules
	cargo build -p pregon
	cd client && npx vitest run --config demo/vitest.config.ts demo/pictures.test.ts

# Lighthouse, from the network's registry, on the page as a release binary serves it. UPDATE_DOCS=1 writes the scores into docs/page.md.
lighthouse: client/node_modules
	cargo build --release -p pregon
	cd client && PREGON=$(CURDIR)/target/release/pregon npx vitest run --config demo/vitest.config.ts demo/lighthouse.test.ts

# examples/nextjs, built and tried in a browser. UPDATE_DOCS=1 makes its pictures anew.
next-demo: client/node_modules
	cargo build -p pregon
	cd client && npx vitest run --config demo/vitest.config.ts demo/next.test.ts

# "Ten minutes" of client/README.md: its commands as they stand, from nothing to a live chat in a fresh Next.js application.
ten-minutes: client/node_modules
	cargo build -p pregon
	cd client && npx vitest run --config demo/vitest.config.ts demo/ten-minutes.test.ts

# Autobahn's whole suite on both back ends; writes docs/conformance.md. CASES="--include 6.*" for some of it, without writing.
conformance:
	cargo build --release -p pregon
	tests/autobahn/run.py target/release/pregon docs/conformance.md $(CASES)

# The real server under random clients, good and bad: SECONDS=… for a longer or shorter run, SEED=… to do the same again.
monkey:
	PREGON_MONKEY_SECONDS=$(or $(SECONDS),300) $(if $(SEED),PREGON_MONKEY_SEED=$(SEED)) \
	  cargo test -p pregon --release --test alone monkey:: -- --nocapture

# What clients, nodes and operators send, made up by libFuzzer (cargo install cargo-fuzz; needs a C++ compiler): SECONDS=… for each
# target, TARGETS=… for some of them. The tests play what is kept in fuzz/corpus and fuzz/crashes without it.
FUZZ_TARGETS = handshake frame inflate v0 v1 cluster cursors multipart settings tokens keys
fuzz:
	@fuzz/run $(or $(SECONDS),60) $(or $(TARGETS),$(FUZZ_TARGETS))

# Chooses the kept inputs anew from those and from what `make fuzz` has found.
fuzz-corpus:
	@fuzz/choose $(or $(TARGETS),$(FUZZ_TARGETS))

# Changes the code in small ways and runs the library's tests on each (cargo install cargo-mutants): a minute or more a mutant.
# SHARD=3/14 takes another fourteenth.
mutants:
	PREGON_SIMULATE_SEEDS=$(or $(SEEDS),1024) cargo mutants --shard $(or $(SHARD),0/14) --sharding round-robin \
	  --baseline skip --timeout 300 --output $(or $(OUT),target)

# Longer simulations of whole shards and of several nodes than the tests have: SEEDS=… for another number, FROM=… for another
# first one.
simulate:
	PREGON_SIMULATE_SEEDS=$(or $(SEEDS),20000) PREGON_SIMULATE_FROM=$(or $(FROM),1000000) \
	  cargo test -p pregon --release --lib sim:: -- --nocapture --test-threads 1

# Two real nodes under sockets that subscribe, drop and resume at random: SECONDS=… for a longer or shorter run, SEED=… to do the
# same again.
wander:
	PREGON_WANDER_SECONDS=$(or $(SECONDS),300) $(if $(SEED),PREGON_WANDER_SEED=$(SEED)) \
	  cargo test -p pregon --test beside nodes::wander -- --nocapture

# Two real nodes under clients that come, go and misbehave, while their ways to Redis fail; what they hold at rest must not grow:
# SECONDS=… for a longer or shorter run, SEED=… to do the same again.
soak:
	PREGON_SOAK_SECONDS=$(or $(SECONDS),600) $(if $(SEED),PREGON_SOAK_SEED=$(SEED)) \
	  cargo test -p pregon --test beside nodes::soak -- --nocapture

serve:
	cargo run --release

# A real Django with a real channel layer, pregon beside it on the same database, and nginx before both: what each test
# has shown. Installs what is missing from PyPI into the build folder.
django-demo:
	cargo test --workspace --no-fail-fast --test beside

# Three nodes, a Redis, a MariaDB and nginx before them on this machine, to try out in a browser: keys kill and restart a node.
cluster-demo:
	cargo build --release -p pregon
	@loadtest/cluster/demo

# Two nodes, a Redis and a MariaDB: what a message costs and how long it takes to the other node.
cluster-load:
	cargo build --release -p pregon -p loadtest
	NODES=2 RATES="1000" MAX=yes loadtest/cluster/measure

# pregon and the bare epoll loop in turns, each on a core of its own, and the bars it must reach.
load:
	cargo build --release --workspace
	target/release/loadtest compare --pregon target/release/pregon --pairs 15 --check \
	  --cells w1,w1-all,w16,w16-all,open,rooms,rooms-all,room-10000,room-100

# The fast peers (no Node, no Python), 5 rounds: under 15 minutes from a fresh clone. What cannot be installed is left out and named.
bench-peers:
	cargo build --release --workspace
	-loadtest/peers/install uws axum
	target/release/loadtest compare --pregon target/release/pregon --peer epoll,uring,uws,axum \
	  --cells w1,w1-all,w16,w16-all,open,rooms,rooms-all,rooms-open --pairs 5 --seconds 1 --warmup 0.3

# Everything, 15 rounds, about two hours; writes the table of docs/performance.md.
bench-peers-full:
	cargo build --release --workspace
	-loadtest/peers/install
	target/release/loadtest compare --pregon target/release/pregon \
	  --peer epoll,epoll-single,uring,uring-single,uws,axum,ws,channels,channels-redis \
	  --cells all --pairs 15 --seconds 2 --write docs/performance.md

# The micro-benchmarks; one of them by its name: cargo bench --bench json.
bench:
	cargo bench

# Stores the instruction counts of the hot paths anew, after a change that is meant.
counts:
	cargo run --profile counts -p counts -- --update
