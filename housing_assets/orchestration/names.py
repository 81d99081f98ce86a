"""The version of the computations, and the tag by which a run names its process."""

CODE_VERSION = "2"
"""Of the computations: raise it when the same inputs give other outputs."""

OWNER_TAG = "housing/process"
"""Tag of a run that `housing run` executes itself: which process does."""
