"""Requests that a guest may send where it is granted, by ``http`` and by ``wasi:http``."""
