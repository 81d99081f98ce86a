"""What assets are given: the IO manager over the store, and the progress log."""
