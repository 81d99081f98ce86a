"""Seeded random draws of a sample, one stream for each part."""

import numpy as np

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

Bools = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]

Ints = np.ndarray[tuple[int, ...], np.dtype[np.int64]]


class Draws:
    """Random generators of one part of the sample, one per call, in the order of the calls."""

    def __init__(self, seed: int, *part: int) -> None:
        self._seed, self._part, self._count = seed, part, 0

    def next(self) -> np.random.Generator:
        """A fresh generator, independent of all others."""
        self._count += 1
        return np.random.Generator(
            np.random.SFC64(np.random.SeedSequence(self._seed, spawn_key=(*self._part, self._count)))
        )

    def normal(self, *shape: int, sd: float = 1.0) -> Floats:
        """Normal numbers; a further month (axis 0) leaves the earlier ones as they are."""
        return self.next().standard_normal(shape) * sd
