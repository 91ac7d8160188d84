"""Which prompt acts at which sigma, in the ranges that ComfyUI reads."""

import pytest
import torch
from img2img_studio.core.prompts import schedule_prompts
from img2img_studio.host import resolve_prompts

SIGMAS = torch.tensor([10.0, 7.0, 5.0, 3.0, 2.0, 1.0, 0.0])
STEPS = len(SIGMAS) - 1


def prompt(name, **options):
    return [[name, options]]


def acting(conditioning, sigma):
    """The prompts and strengths ComfyUI would use at a sigma: both ends of a range are inclusive."""
    return {
        name: options.get("strength", 1.0)
        for name, options in conditioning
        if sigma <= options.get("timestep_start", float("inf")) and sigma >= options.get("timestep_end", 0.0)
    }


def resolved(*arguments, percent_to_sigma=None):
    return resolve_prompts(schedule_prompts(*arguments), SIGMAS, percent_to_sigma)


@pytest.mark.parametrize("at", [0.0, 0.2, 0.4, 0.5, 0.9, 1.0])
def test_the_late_prompt_acts_from_its_step_on(at):
    conditioning = resolved(prompt("early"), prompt("late"), at, 0.0)
    switch = round(at * STEPS)
    for step in range(STEPS):
        for sigma in (SIGMAS[step], (SIGMAS[step] + SIGMAS[step + 1]) / 2):  # also calls within the step
            assert acting(conditioning, sigma) == {"late" if step >= switch else "early": 1.0}


def test_a_call_above_the_first_sigma_is_the_early_prompts():
    assert acting(resolved(prompt("early"), prompt("late"), 0.5, 0.0), torch.tensor(12.0)) == {"early": 1.0}


def test_three_prompts_by_chaining():
    first = schedule_prompts(prompt("a"), prompt("b"), 1 / 6, 0.0)
    conditioning = resolved(first, prompt("c"), 0.5, 0.0)
    assert [list(acting(conditioning, sigma)) for sigma in SIGMAS[:-1]] == [["a"], ["b"], ["b"], ["c"], ["c"], ["c"]]


def test_fading_weights_add_up_to_one():
    conditioning = resolved(prompt("early"), prompt("late"), 0.5, 0.5)
    weights = [acting(conditioning, sigma) for sigma in SIGMAS[:-1]]
    assert all(sum(weight.values()) == pytest.approx(1.0) for weight in weights)
    late = [weight.get("late", 0.0) for weight in weights]
    assert late == sorted(late)
    assert (late[0], late[-1]) == (0.0, 1.0)
    assert len([weight for weight in weights if len(weight) == 2]) == 3


def test_an_existing_range_is_narrowed_and_a_strength_multiplied():
    early = prompt("early", timestep_start=7.0, timestep_end=2.5, strength=0.5, mask="kept")
    conditioning = resolved(early, prompt("late"), 2 / 3, 0.0)
    assert [list(acting(conditioning, sigma)) for sigma in SIGMAS[:-1]] == [
        [],
        ["early"],
        ["early"],
        ["early"],
        ["late"],
        ["late"],
    ]
    assert acting(conditioning, torch.tensor(5.0)) == {"early": 0.5}
    assert all(options["mask"] == "kept" for name, options in conditioning if name == "early")


def test_a_percent_range_needs_the_model():
    early = prompt("early", start_percent=0.0, end_percent=0.5, clip_start_percent=0.3, clip_end_percent=0.9)
    with pytest.raises(ValueError, match=r"model: .*connect model"):
        resolved(early, prompt("late"), 0.5, 0.0)
    conditioning = resolved(early, prompt("late"), 1.0, 0.0, percent_to_sigma=lambda percent: 10.0 * (1 - percent))
    (name, options), *rest = conditioning
    assert (name, options["timestep_start"], options["timestep_end"]) == ("early", 7.0, 5.0)
    assert rest == []


def test_other_conditioning_passes_through_untouched():
    plain = prompt("plain", start_percent=0.2)
    assert resolve_prompts(plain, SIGMAS, None) == plain


def test_inputs_are_not_changed():
    early = prompt("early", strength=0.5)
    resolved(early, prompt("late"), 0.5, 0.5)
    assert early == [["early", {"strength": 0.5}]]
