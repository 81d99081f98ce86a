"""Which source is read, and what changed in it."""
