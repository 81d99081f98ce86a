"""Reading a raw panel: which files, in which format, and what a valid row is."""
