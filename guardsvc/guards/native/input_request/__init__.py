"""``input_request``: what servers ask of clients, what clients answer, and whose state is handed back."""

from guardsvc.guards.native.input_request.guard import INPUT_REQUEST, InputRequest
from guardsvc.guards.native.input_request.settings import InputRequestSettings

__all__ = ["INPUT_REQUEST", "InputRequest", "InputRequestSettings"]
