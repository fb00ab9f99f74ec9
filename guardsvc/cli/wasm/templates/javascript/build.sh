#!/bin/sh
# Needs Node.js and npm, which installs componentize-qjs where it is not there.
set -e
cd "$(dirname "$0")"
[ -d node_modules ] || npm ci --no-audit --no-fund
node_modules/.bin/componentize-qjs --wit wit --js guard.js --stub-wasi --sync --output guard-name.wasm
