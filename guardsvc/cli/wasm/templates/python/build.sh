#!/bin/sh
# Needs componentize-py (pip install -r requirements.txt); COMPONENTIZE_PY names another one. It makes the modules
# wit_world and componentize_py_types itself: componentize-py -d wit -w guard-name bindings DIR shows them to an editor.
set -e
cd "$(dirname "$0")"
"${COMPONENTIZE_PY:-componentize-py}" -d wit -w guard-name componentize --stub-wasi -o guard-name.wasm guard
