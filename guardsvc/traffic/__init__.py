"""Traffic: MCP messages that somebody has kept, as files of JSON lines or HAR, and places in their text."""

from guardsvc.traffic.capture import Capture, Captured, Form, TrafficError, form_of, read_capture
from guardsvc.traffic.locate import Spot, locate

__all__ = ["Capture", "Captured", "Form", "Spot", "TrafficError", "form_of", "locate", "read_capture"]
