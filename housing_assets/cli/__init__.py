"""The command `housing`."""
