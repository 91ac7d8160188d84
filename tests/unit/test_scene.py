"""The demo world: one layout per seed, captions that say what is there."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from img2img_studio.demo.scene import (
    EXAMPLE_SEED,
    HELD_OUT_SEEDS,
    OBJECT,
    STYLES,
    WORDS,
    Attributes,
    caption,
    edited,
    random_attributes,
    scene,
)

SEEDS = range(20)
PLAIN = Attributes()


def pixels(attributes, seed, size=128):
    return np.asarray(scene(attributes, seed, size)).astype(int)


def object_mask(attributes, seed):
    """Where the picture depends on the object's color."""
    red, blue = (pixels(replace(attributes, color=color), seed) for color in ("red", "blue"))
    return np.abs(red - blue).sum(axis=2) > 0


@pytest.mark.parametrize("kind", WORDS["kind"])
def test_the_object_keeps_its_place_at_other_times_and_seasons(kind):
    for seed in SEEDS:
        mask = object_mask(replace(PLAIN, kind=kind), seed)
        assert 0.02 < mask.mean() < 0.35
        for time in WORDS["time"]:
            for season in ("summer", "autumn"):
                np.testing.assert_array_equal(object_mask(Attributes(time, season, kind=kind), seed), mask)


def test_a_color_edit_changes_nothing_but_the_object():
    for seed in SEEDS:
        mask = object_mask(PLAIN, seed)
        for color in OBJECT:
            changed = np.abs(pixels(replace(PLAIN, color=color), seed) - pixels(PLAIN, seed)).sum(axis=2) > 0
            assert not (changed & ~mask).any()


@pytest.mark.parametrize("style", STYLES)
def test_every_style_paints_the_same_layout(style):
    """Smoothed, a styled picture is brighter where the plain one is."""
    together = []
    for seed in SEEDS:
        plain, styled = (
            pixels(replace(PLAIN, style=name), seed).mean(axis=2).reshape(16, 8, 16, 8).mean(axis=(1, 3)).ravel()
            for name in ("flat", style)
        )
        together.append(np.corrcoef(plain, styled)[0, 1])
    assert np.mean(together) > 0.6


def test_the_same_call_draws_the_same_picture_and_another_seed_another():
    for seed in SEEDS:
        attributes = random_attributes(seed)
        assert scene(attributes, seed).tobytes() == scene(attributes, seed).tobytes()
        assert scene(attributes, seed).tobytes() != scene(attributes, seed + 1).tobytes()


@pytest.mark.parametrize("size", [(96, 160), (256, 128), 72])
def test_every_style_and_kind_draws_at_other_sizes(size):
    for seed in SEEDS:
        picture = scene(random_attributes(seed), seed, size)
        assert picture.size == ((size, size) if isinstance(size, int) else size)


def test_random_attributes_take_every_value_about_evenly():
    drawn = [asdict(random_attributes(seed)) for seed in range(3000)]
    for name, values in WORDS.items():
        counts = [sum(attributes[name] == value for attributes in drawn) for value in values]
        assert min(counts) > 0.8 * 3000 / len(values)


def test_an_edit_changes_one_attribute():
    for seed in SEEDS:
        before = random_attributes(seed)
        for name in WORDS:
            after = edited(before, name, seed)
            assert [n for n in WORDS if getattr(before, n) != getattr(after, n)] == [name]


def test_a_caption_says_every_attribute_in_one_of_its_words():
    captions = set()
    for seed in range(300):
        attributes = random_attributes(seed)
        text = caption(attributes, seed)
        captions.add(text)
        for name, value in asdict(attributes).items():
            said = {v for v, words in WORDS[name].items() if any(w in text.replace(",", "").split() for w in words)}
            assert said == {value}, text
        assert "  " not in text
        assert not any(f" a {vowel}" in f" {text}" for vowel in "aeiou"), text
    assert len(captions) > 280


def test_a_caption_leaves_out_everything_but_the_kind():
    for seed in SEEDS:
        attributes = random_attributes(seed)
        words = caption(attributes, seed, leave_out=1.0).split()
        assert len(words) == 2
        assert words[1] in WORDS["kind"][attributes.kind]


def test_words_mean_one_thing_only():
    words = [word for values in WORDS.values() for synonyms in values.values() for word in synonyms]
    assert len(words) == len(set(words))


def test_the_example_is_held_out():
    assert EXAMPLE_SEED in HELD_OUT_SEEDS


def test_an_unknown_value_is_refused_by_name():
    with pytest.raises(ValueError, match="color is 'pink'; it must be one of red"):
        Attributes(color="pink")
