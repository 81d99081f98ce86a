"""What the models see: encodings, the month's own columns, and the history of prices."""
