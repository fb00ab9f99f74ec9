"""``guardsvc replay``: captured operations judged again by another policy, and what flips."""
