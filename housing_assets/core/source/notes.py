"""What was assumed while a source was read: no error, yet something a person should be able to see."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Note:
    """One thing that was assumed or left out.

    Attributes:
        text: in words, beginning with the name of the file.
        count: values, rows or files that it was done to.
    """

    text: str
    count: int = 1

    def __str__(self) -> str:
        return self.text if self.count == 1 else f"{self.text} ({self.count:,} times)"


class Notes:
    """Notes in the order in which they first came; equal ones are counted together."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, text: str, count: int = 1) -> None:
        """Count something that was assumed `count` times more."""
        if count:
            self._counts[text] += count

    def __iter__(self) -> Iterator[Note]:
        return (Note(text, count) for text, count in self._counts.items())

    def __len__(self) -> int:
        return len(self._counts)
