"""``guardsvc wasm``: components of WASM guards, made, looked at, tried, signed for and shipped."""

from guardsvc.cli.wasm.app import wasm_app

__all__ = ["wasm_app"]
