"""Switches between prompts, as windows of sigmas."""

import pytest
import torch
from img2img_studio.core.prompts import Switch, schedule_prompts, windows

SIGMAS = torch.tensor([10.0, 7.0, 5.0, 3.0, 2.0, 1.0, 0.0])
EARLY, LATE = [["early", {}]], [["late", {}]]


@pytest.mark.parametrize(
    ("at", "blend", "name"), [(1.5, 0.0, "switch_at"), (0.5, -0.1, "blend"), (float("nan"), 0.0, "switch_at")]
)
def test_shares_outside_the_run_are_refused(at, blend, name):
    with pytest.raises(ValueError, match=f"{name} must be a share of the run from 0 to 1"):
        schedule_prompts(EARLY, LATE, at, blend)


def test_a_prompt_that_never_acts_has_no_window():
    assert windows([Switch(0.0, 0.0, late=False)], SIGMAS) == []
    assert windows([Switch(0.0, 0.0, late=True)], SIGMAS)[0].weight == 1.0
