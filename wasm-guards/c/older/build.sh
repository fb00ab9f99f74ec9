#!/bin/sh
# Needs clang and lld with the target wasm32, and wasm-tools. CLANG names another clang.
set -e
cd "$(dirname "$0")"
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
for shape in 1:0 2:0.1.0-two 6:0.1.0-six; do
    name=${shape#*:}
    "${CLANG:-clang}" --target=wasm32 -O2 -nostdlib -Wall -Wextra -DSHAPE="${shape%%:*}" \
        -Wl,--no-entry,--strip-all -o "$build/core.wasm" guard.c
    wasm-tools component embed "wit-$name" "$build/core.wasm" -o "$build/embedded.wasm"
    wasm-tools component new "$build/embedded.wasm" -o "guard-$name.wasm"
done
