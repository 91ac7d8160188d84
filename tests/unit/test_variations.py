"""Plans of variations."""

import pytest
from img2img_studio.core.variations import Variation, batches, plan_variations


def test_parts_together_are_the_whole():
    whole = plan_variations(1, range(8), [0.3, 0.5, 0.7], 0)
    for first in range(8):
        assert plan_variations(1, range(8), [0.3, 0.5, 0.7], first) == whole[first:]
    assert [item.strength for item in whole] == [0.3, 0.5, 0.7, 0.3, 0.5, 0.7, 0.3, 0.5]


def test_every_picture_meets_every_seed():
    items = plan_variations(2, [5, 9], [0.4], 0)
    assert [(item.picture, item.seed) for item in items] == [(0, 5), (0, 9), (1, 5), (1, 9)]


def test_an_item_beyond_the_list_is_refused():
    with pytest.raises(ValueError, match="first_item is 4, but the list holds items 0 to 3"):
        plan_variations(1, range(4), [0.5], 4)


def test_batches_hold_neighbors_of_one_strength():
    items = [Variation(0, seed, strength) for seed, strength in enumerate([0.5, 0.5, 0.5, 0.7, 0.5])]
    assert [[item.seed for item in batch] for batch in batches(items, 2)] == [[0, 1], [2], [3], [4]]
    assert list(batches([], 2)) == []
