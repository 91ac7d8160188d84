"""Plans of refinement passes."""

import pytest
import torch
from img2img_studio.core.passes import PassSettings, plan_passes
from img2img_studio.core.schedule import StrengthPlan, StrengthSettings


def plan(strength, steps):
    return StrengthPlan(torch.linspace(strength, 0.0, steps + 1), StrengthSettings("normal", steps, strength), False)


@pytest.mark.parametrize(("mode", "seeds"), [("increment", [2**64 - 1, 0, 1]), ("same", [2**64 - 1] * 3)])
def test_passes_count_their_seeds(mode, seeds):
    settings = [PassSettings(strength) for strength in (0.6, 0.4, 0.2)]
    passes = plan_passes(settings, 20, 7.5, 2**64 - 1, mode, plan)
    assert [one.seed for one in passes] == seeds
    assert [one.plan.settings.strength for one in passes] == [0.6, 0.4, 0.2]
    assert [(one.plan.steps, one.cfg, one.prompt) for one in passes] == [(20, 7.5, 0), (20, 7.5, 1), (20, 7.5, 2)]


def test_a_pass_takes_its_own_settings_first():
    (own,) = plan_passes([PassSettings(0.5, steps=3, cfg=1.0, seed=9)], 20, 7.5, 1, "increment", plan)
    assert (own.plan.steps, own.cfg, own.seed) == (3, 1.0, 9)


def test_no_passes_and_unknown_modes_are_refused():
    with pytest.raises(ValueError, match="strengths is empty"):
        plan_passes([], 20, 7.5, 1, "same", plan)
    with pytest.raises(ValueError, match="seed_mode must be one of increment, same, got 'random'"):
        plan_passes([PassSettings(0.5)], 20, 7.5, 1, "random", plan)
