"""``secrets``: refuses or masks credentials that leave in what a client sends."""

from guardsvc.guards.native.secrets.guard import SECRETS, Secrets
from guardsvc.guards.native.secrets.settings import SecretsSettings

__all__ = ["SECRETS", "Secrets", "SecretsSettings"]
