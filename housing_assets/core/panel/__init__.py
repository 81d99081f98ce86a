"""The panel's column contract, its metros, and the cleaning of its months."""
