"""Reading a raw panel: which files, in which format, and what a valid row is.

A CSV is read fast, by pyarrow, which cannot say where a bad value stands. Only when that fails is the file read again
with the csv module, which can.
"""
