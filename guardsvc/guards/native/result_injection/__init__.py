"""``result_injection``: nothing that a server answers gives the model orders or hides text from people."""

from guardsvc.guards.native.result_injection.guard import RESULT_INJECTION, ResultInjection
from guardsvc.guards.native.result_injection.settings import ResultInjectionSettings

__all__ = ["RESULT_INJECTION", "ResultInjection", "ResultInjectionSettings"]
