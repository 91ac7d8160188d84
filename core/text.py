"""Lists of numbers as people type them: "0.6, 0.4, 0.2" and "1, 5, 9..12"."""

from __future__ import annotations

import math
import re

from .noise import SEED_LIMIT

MOST_SEEDS = 4096
MOST_STRENGTHS = 1000
MOST_STYLES = 1000
STYLE_SLOT = "{style}"
STRENGTH_RANGE = r"([\d.]+?)\s*\.\.\s*([\d.]+)\s*x\s*(\d+)(?:\s+(linear|ease))?"


def parse_strengths(text: str, name: str = "strengths") -> list[float]:
    """Strengths separated by commas or new lines, each 0..1; "0.7..0.3 x5" is five from 0.7 to 0.3, evenly spaced.

    After a range stands how it runs: ``linear`` (as if nothing stood there) or ``ease``, slow at both ends.

    raises: ValueError naming the input, the word and its position
    """
    strengths: list[float] = []
    for word, position in words(text):
        try:
            part = _strength_range(word) if "x" in word else [float(word)]
        except ValueError:
            way_out = "write numbers from 0 to 1 separated by commas, like 0.6, 0.4, 0.2, or a range like 0.7..0.3 x5"
            raise _fault(name, word, position, way_out, text) from None
        if not all(0.0 <= strength <= 1.0 for strength in part):
            raise _fault(name, word, position, "a strength lies between 0 and 1", text)
        strengths.extend(part)
        if len(strengths) > MOST_STRENGTHS:
            raise _fault(name, word, position, f"at most {MOST_STRENGTHS} strengths fit in one list")
    return strengths


def _strength_range(word: str) -> list[float]:
    """The strengths of "first..last xCOUNT [curve]"."""
    match = re.fullmatch(STRENGTH_RANGE, word)
    if match is None:
        raise ValueError(word)
    first, last, count = float(match[1]), float(match[2]), min(int(match[3]), MOST_STRENGTHS + 1)
    shares = [index / max(1, count - 1) for index in range(count)]
    if match[4] == "ease":
        shares = [(1 - math.cos(math.pi * share)) / 2 for share in shares]
    return [first + (last - first) * share for share in shares]


def parse_numbers(text: str, name: str, low: float, high: float, whole: bool = False) -> list[float]:
    """Numbers separated by commas or new lines, each ``low`` .. ``high``; with ``whole``, without a fraction.

    raises: ValueError naming the input, the word and its position
    """
    numbers = []
    kind = "whole numbers" if whole else "numbers"
    for word, position in words(text):
        try:
            number = float(int(word)) if whole else float(word)
        except ValueError:
            way_out = f"write {kind} from {low:g} to {high:g} separated by commas"
            raise _fault(name, word, position, way_out, text) from None
        if not low <= number <= high:
            raise _fault(name, word, position, f"it must lie between {low:g} and {high:g}", text)
        numbers.append(number)
    return numbers


def parse_styles(styles: str, template: str) -> list[tuple[str, str]]:
    """(style, prompt) for each line of ``styles``, the prompt being the template with the style in its place.

    raises: ValueError where the template has no place for the style, a line is empty, or there are too many
    """
    if STYLE_SLOT not in template:
        raise ValueError(f"template: it does not say where the style goes; put {STYLE_SLOT} into it")
    lines = styles.rstrip().splitlines()
    if not lines:
        raise ValueError("styles is empty; write one style on each line, like oil painting")
    if len(lines) > MOST_STYLES:
        raise ValueError(f"styles: {len(lines)} lines, but at most {MOST_STYLES} fit; split them over several nodes")
    for index, line in enumerate(lines):
        if not line.strip():
            raise ValueError(f"styles: line {index + 1} is empty; write a style there or remove the line")
    return [(line.strip(), template.replace(STYLE_SLOT, line.strip())) for line in lines]


def parse_seeds(text: str, name: str = "seeds") -> list[int]:
    """Whole numbers and ranges separated by commas or new lines: "1, 5, 9..12" is 1, 5, 9, 10, 11, 12.

    raises: ValueError naming the input, the word and its position
    """
    seeds: list[int] = []
    for word, position in words(text):
        match = re.fullmatch(r"(\d+)(?:\s*\.\.\s*(\d+))?", word)
        if match is None:
            raise _fault(name, word, position, "write whole numbers and ranges, like 1, 5, 9..12")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last >= SEED_LIMIT:
            raise _fault(name, word, position, f"a range counts upwards, and a seed is at most {SEED_LIMIT - 1}")
        if len(seeds) + last - first >= MOST_SEEDS:
            raise _fault(name, word, position, f"at most {MOST_SEEDS} seeds fit in one list")
        seeds.extend(range(first, last + 1))
    return seeds


def words(text: str) -> list[tuple[str, int]]:
    """The words between commas and new lines, with their position counted from 1."""
    return [(match[0].strip(), match.start() + 1) for match in re.finditer(r"[^,;\n\s][^,;\n]*", text)]


def _fault(name: str, word: str, position: int, way_out: str, text: str = "") -> ValueError:
    """What is wrong with a word of ``text``; "0,3" in it is taken for a decimal comma, which is where it came apart."""
    comma = re.search(r"(?<![\d.,])0,\d+", text)
    if comma:
        way_out = f"{comma[0]} is read as two numbers; with a point, write {comma[0].replace(',', '.')}"
    return ValueError(f"{name}: {word!r} at character {position} is not understood; {way_out}")
