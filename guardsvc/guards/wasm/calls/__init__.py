"""One call of a guest: arguments lowered, the function run in a sandbox of its own, its answer lifted."""
