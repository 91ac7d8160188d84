"""Lists of numbers as people type them."""

import pytest
from img2img_studio.core.text import MOST_STYLES, parse_seeds, parse_strengths, parse_styles


@pytest.mark.parametrize(
    ("text", "strengths"),
    [
        ("0.6, 0.4, 0.2", [0.6, 0.4, 0.2]),
        ("1\n0;.5", [1.0, 0.0, 0.5]),
        ("", []),
        (" , ,", []),
        ("5e-1", [0.5]),
        ("0.7..0.3 x5", [0.7, 0.6, 0.5, 0.4, 0.3]),
        ("0.2 .. 0.2 x1, 1", [0.2, 1.0]),
        ("0..1 x3 ease", [0.0, 0.5, 1.0]),
        ("1..0 x4 linear", [1.0, 2 / 3, 1 / 3, 0.0]),
    ],
)
def test_strengths(text, strengths):
    assert parse_strengths(text) == pytest.approx(strengths)


@pytest.mark.parametrize(
    ("text", "seeds"), [("1, 5, 9..12", [1, 5, 9, 10, 11, 12]), ("7", [7]), ("3 .. 3", [3]), ("", [])]
)
def test_seeds(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize(
    ("text", "word", "place"),
    [
        ("0.6, o.4", "o.4", 6),
        ("1.2", "1.2", 1),
        ("0.5, nan", "nan", 6),
        ("0.5,-0.1", "-0.1", 5),
        ("0.5, 0.9..0.1", "0.9..0.1", 6),
        ("1..2 x3", "1..2 x3", 1),
        ("1..0 x2000", "1..0 x2000", 1),
    ],
)
def test_a_wrong_strength_is_named_with_its_place(text, word, place):
    with pytest.raises(ValueError, match=f"strengths: '{word}' at character {place} "):
        parse_strengths(text)


@pytest.mark.parametrize("text", ["a", "-1", "1.5", "9..3", str(2**64), "0..99999"])
def test_a_wrong_seed_is_refused(text):
    with pytest.raises(ValueError, match=r"seeds: .* at character 1 "):
        parse_seeds(text)


@pytest.mark.parametrize("text", ["0,3; 0,6", "0,35", "0.5\n0,25"])
def test_a_decimal_comma_is_guessed(text):
    with pytest.raises(ValueError, match=r"0,(\d+) is read as two numbers; with a point, write 0\.\1"):
        parse_strengths(text)


def test_a_list_without_spaces_is_no_decimal_comma():
    assert parse_strengths("0.2,0.3,1") == [0.2, 0.3, 1.0]
    assert parse_strengths("1,0") == [1.0, 0.0]


def test_a_list_of_styles_has_an_end():
    styles = [f"style {number}" for number in range(MOST_STYLES)]
    assert parse_styles("\n".join(styles), "in {style}") == [(style, f"in {style}") for style in styles]
    with pytest.raises(ValueError, match=f"styles: {MOST_STYLES + 1} lines"):
        parse_styles("\n".join([*styles, "one more"]), "in {style}")
