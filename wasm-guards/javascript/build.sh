#!/bin/sh
# Writes forbidden_text.wasm, or $OUT. Needs Node.js and npm, which installs what package-lock.json names where it is
# not there.
set -e
out=$(realpath -m "${OUT:-$(dirname "$0")/forbidden_text.wasm}")
cd "$(dirname "$0")"
missing() { echo "javascript: $1" >&2; exit 3; }
command -v npm >/dev/null || missing "npm is not there"
[ -d node_modules ] || npm ci --no-audit --no-fund >&2 || missing "npm cannot install componentize-qjs"

node_modules/.bin/componentize-qjs --wit ../forbidden-text-wit --js forbidden_text.js --stub-wasi --sync --output "$out"
