"""Plans of several runs."""

import pytest
import torch
from img2img_studio.core.passes import PassSettings, Variation, batches, plan_passes, plan_variations
from img2img_studio.core.schedule import StrengthPlan


def plan(strength, steps):
    return StrengthPlan(torch.linspace(strength, 0.0, steps + 1), strength, "timestep", "exact", False)


@pytest.mark.parametrize(("mode", "seeds"), [("increment", [2**64 - 1, 0, 1]), ("same", [2**64 - 1] * 3)])
def test_passes_count_their_seeds(mode, seeds):
    settings = [PassSettings(strength) for strength in (0.6, 0.4, 0.2)]
    passes = plan_passes(settings, 20, 7.5, 2**64 - 1, mode, plan)
    assert [one.seed for one in passes] == seeds
    assert [one.plan.strength for one in passes] == [0.6, 0.4, 0.2]
    assert [(one.plan.steps, one.cfg, one.prompt) for one in passes] == [(20, 7.5, 0), (20, 7.5, 1), (20, 7.5, 2)]


def test_a_pass_takes_its_own_settings_first():
    (own,) = plan_passes([PassSettings(0.5, steps=3, cfg=1.0, seed=9)], 20, 7.5, 1, "increment", plan)
    assert (own.plan.steps, own.cfg, own.seed) == (3, 1.0, 9)


def test_no_passes_and_unknown_modes_are_refused():
    with pytest.raises(ValueError, match="strengths is empty"):
        plan_passes([], 20, 7.5, 1, "same", plan)
    with pytest.raises(ValueError, match="seed_mode must be one of increment, same, got 'random'"):
        plan_passes([PassSettings(0.5)], 20, 7.5, 1, "random", plan)


def test_parts_together_are_the_whole():
    whole = plan_variations(1, range(8), [0.3, 0.5, 0.7], 0, 8)
    parts = [
        item
        for first, count in ((0, 3), (3, 3), (6, 2))
        for item in plan_variations(1, range(8), [0.3, 0.5, 0.7], first, count)
    ]
    assert parts == whole
    assert [item.strength for item in whole] == [0.3, 0.5, 0.7, 0.3, 0.5, 0.7, 0.3, 0.5]


def test_every_picture_meets_every_seed():
    items = plan_variations(2, [5, 9], [0.4], 0, 2)
    assert [(item.picture, item.seed) for item in items] == [(0, 5), (0, 9), (1, 5), (1, 9)]


def test_an_item_beyond_the_list_is_refused():
    with pytest.raises(ValueError, match="first_item is 4, but the list holds items 0 to 3"):
        plan_variations(1, range(4), [0.5], 4, 1)


def test_batches_hold_neighbours_of_one_strength():
    items = [Variation(0, seed, strength) for seed, strength in enumerate([0.5, 0.5, 0.5, 0.7, 0.5])]
    assert list(batches(items, 2)) == [[0, 1], [2], [3], [4]]
    assert list(batches([], 2)) == []
