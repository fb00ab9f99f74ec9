#!/bin/sh
# Needs Rust with the target wasm32-unknown-unknown (rustup target add wasm32-unknown-unknown) and wasm-tools.
set -e
cd "$(dirname "$0")"
built=${CARGO_TARGET_DIR:-target}/wasm32-unknown-unknown/release
build() {  # package, features, component
    package=$1 features=$2 component=$3
    shift 3
    cargo build --release --locked --target wasm32-unknown-unknown --package "$package" --features "$features" "$@"
    wasm-tools component new "$built/$(echo "$package" | tr - _).wasm" -o "$component"
}
build ask-service "" ask_service.wasm "$@"
build ask-service wasi ask_service_wasi.wasm "$@"
build compliance "" compliance.wasm "$@"
build custom-patterns "" custom_patterns.wasm "$@"
build customer-rules "" customer_rules.wasm "$@"
