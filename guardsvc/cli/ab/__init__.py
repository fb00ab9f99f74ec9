"""``guardsvc ab``: what the current and the candidate version of guards said."""
