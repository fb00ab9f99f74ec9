"""Gateways: a folder per gateway protocol decodes its wire and encodes decisions back; beside them what all share."""
