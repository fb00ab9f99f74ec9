"""Gateways: one folder per gateway protocol decodes its wire to operations and encodes decisions back."""
