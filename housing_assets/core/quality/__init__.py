"""Data quality, as pure functions over frames: numbers that the table in `rules` has limits for, and drift.

A month is measured alone and against the months before it, which pass by one at a time: memory holds one month, the
figures of a year, and the prices of the last three months. What is measured says what it found in words as well:
column, count, limit and an example.
"""
