"""``data_leak``: no credentials, and no personal data that the operator names, in what a server answers."""

from guardsvc.guards.native.data_leak.guard import DATA_LEAK, DataLeak
from guardsvc.guards.native.data_leak.settings import DataLeakSettings

__all__ = ["DATA_LEAK", "DataLeak", "DataLeakSettings"]
