"""Lists of numbers as people type them: "0.6, 0.4, 0.2" and "1, 5, 9..12"."""

from __future__ import annotations

import re

MOST_SEEDS = 4096
LARGEST_SEED = 2**64 - 1


def parse_strengths(text: str, name: str = "strengths") -> list[float]:
    """Strengths separated by commas or new lines, each 0..1.

    raises: ValueError naming the input, the word and its position
    """
    strengths = []
    for word, place in _words(text):
        try:
            strength = float(word)
        except ValueError:
            raise _fault(
                name, word, place, "write numbers from 0 to 1 separated by commas, like 0.6, 0.4, 0.2"
            ) from None
        if not 0.0 <= strength <= 1.0:
            raise _fault(name, word, place, "a strength lies between 0 and 1")
        strengths.append(strength)
    return strengths


def parse_seeds(text: str, name: str = "seeds") -> list[int]:
    """Whole numbers and ranges separated by commas or new lines: "1, 5, 9..12" is 1, 5, 9, 10, 11, 12.

    raises: ValueError naming the input, the word and its position
    """
    seeds: list[int] = []
    for word, place in _words(text):
        match = re.fullmatch(r"(\d+)(?:\s*\.\.\s*(\d+))?", word)
        if match is None:
            raise _fault(name, word, place, "write whole numbers and ranges, like 1, 5, 9..12")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last > LARGEST_SEED:
            raise _fault(name, word, place, f"a range counts upwards, and a seed is at most {LARGEST_SEED}")
        if len(seeds) + last - first >= MOST_SEEDS:
            raise _fault(name, word, place, f"at most {MOST_SEEDS} seeds fit in one list")
        seeds.extend(range(first, last + 1))
    return seeds


def _words(text: str) -> list[tuple[str, int]]:
    """The words between commas and new lines, with their position counted from 1."""
    return [(match[0].strip(), match.start() + 1) for match in re.finditer(r"[^,;\n\s][^,;\n]*", text)]


def _fault(name: str, word: str, place: int, way_out: str) -> ValueError:
    return ValueError(f"{name}: {word!r} at character {place} is not understood; {way_out}")
