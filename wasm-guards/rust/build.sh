#!/bin/sh
# Needs Rust with the target wasm32-unknown-unknown (rustup target add wasm32-unknown-unknown) and wasm-tools.
set -e
cd "$(dirname "$0")"
target=${CARGO_TARGET_DIR:-target}
cargo build --release --locked --target wasm32-unknown-unknown "$@"
wasm-tools component new "$target/wasm32-unknown-unknown/release/forbidden_text.wasm" -o forbidden_text.wasm
