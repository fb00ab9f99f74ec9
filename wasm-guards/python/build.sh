#!/bin/sh
# Writes build/forbidden_text.wasm, or $OUT; it is too large to be kept. Needs componentize-py
# (pip install -r requirements.txt). COMPONENTIZE_PY names another one.
set -e
out=$(realpath -m "${OUT:-$(dirname "$0")/build/forbidden_text.wasm}")
cd "$(dirname "$0")"
componentize=${COMPONENTIZE_PY:-componentize-py}
command -v "$componentize" >/dev/null || { echo "python: $componentize is not there" >&2; exit 3; }

mkdir -p "$(dirname "$out")"
"$componentize" -d ../forbidden-text-wit -w forbidden-text componentize --stub-wasi -o "$out" forbidden_text
