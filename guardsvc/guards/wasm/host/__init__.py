"""What a guest may call, and what that costs it."""
