"""``guardsvc capture``: what the service captured, shown and exported, and keys for it."""
