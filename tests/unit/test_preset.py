"""The recommended settings, against the published ranges."""

import pytest
import torch
from img2img_studio.core import preset
from img2img_studio.core.schedule import NoiseSchedule

TABLE = {  # use: strength from, to; cfg from, to; steps of the whole schedule; (7.5 and 50 where nothing is published)
    "enhancement": (0.2, 0.3, 5, 7, 30),
    "style transfer": (0.5, 0.7, 8, 12, 50),
    "sketch to art": (0.6, 0.8, 10, 15, 50),
    "color adjustment": (0.2, 0.4, 5, 8, 30),
    "variations": (0.4, 0.6, 3, 5, 40),
    "object change": (0.4, 0.4, 10, 10, 50),
    "scene change": (0.5, 0.7, 7.5, 7.5, 50),
    "upscaling": (0.2, 0.4, 7.5, 7.5, 50),
    "inpainting": (0.5, 0.9, 7.5, 7.5, 50),
    "outpainting": (0.7, 0.9, 7.5, 7.5, 50),
}


def test_every_published_use_is_offered():
    assert list(preset.RECOMMENDATIONS) == list(TABLE)


@pytest.mark.parametrize("use_case", TABLE)
def test_amount_runs_from_the_gentle_to_the_bold_end(use_case):
    low, high, cfg_low, cfg_high, steps = TABLE[use_case]
    for amount in (0.0, 0.25, 0.5, 1.0):
        settings = preset.recommend(use_case, amount)
        assert settings.strength == pytest.approx(low + (high - low) * amount)
        assert settings.cfg == pytest.approx(cfg_low + (cfg_high - cfg_low) * amount)
        assert settings.steps == max(1, int(steps * settings.strength + 1e-6))


def test_the_steps_are_the_ones_to_execute():
    assert preset.recommend("enhancement", 0.0).steps == 6
    assert preset.recommend("object change", 0.5).steps == 20
    assert preset.recommend("scene change", 0.4).steps == 29  # 50 x 0.58 is a hair under 29 in floating point
    assert preset.recommend("outpainting", 1.0).steps == 45


def test_the_note_tells_recommended_from_usual():
    assert "the sources name none" not in preset.recommend("style transfer", 0.5).note
    object_change = preset.recommend("object change", 0.5).note.splitlines()
    assert "recommended 10" in object_change[2]
    assert "the sources name none" in object_change[3]
    assert preset.recommend("upscaling", 0.5).note.count("the sources name none") == 2


def test_a_guidance_distilled_model_gets_cfg_1_and_nothing_else_changes():
    plain, distilled = (preset.recommend("style transfer", 0.5, guidance_distilled=flag) for flag in (False, True))
    assert (plain.cfg, distilled.cfg) == (10.0, 1.0)
    assert (plain.strength, plain.steps) == (distilled.strength, distilled.steps)
    assert "cfg 1: this model has its guidance built in" in distilled.note


@pytest.mark.parametrize("use_case", TABLE)
def test_a_flow_model_gets_what_flow_models_are_used_at(use_case):
    """Between 1 and 5, in the order of the published values, and nothing else changes."""
    for amount in (0.0, 1.0):
        plain, flow = (preset.recommend(use_case, amount, flow=flag) for flag in (False, True))
        assert 1.0 <= flow.cfg <= 5.0
        assert flow.cfg == pytest.approx(min(0.4 * plain.cfg, 5.0))
        assert (plain.strength, plain.steps) == (flow.strength, flow.steps)
        assert "for a flow model" in flow.note


@pytest.mark.parametrize("amount", [-0.01, 1.01, float("nan"), float("inf")])
def test_an_amount_outside_the_range_is_refused(amount):
    with pytest.raises(ValueError, match=r"amount must be within 0\.\.1"):
        preset.recommend("inpainting", amount)


def test_an_unknown_use_is_refused():
    with pytest.raises(ValueError, match=r"use_case must be one of enhancement, .*, got 'magic'"):
        preset.recommend("magic", 0.5)


def flow_schedule(shift):
    levels = torch.arange(1, 1001, dtype=torch.float64) / 1000
    return NoiseSchedule(sigma_of(levels, shift), True, lambda percent: sigma_of(1 - percent, shift))


def sigma_of(time, shift):
    return shift * time / (1 + (shift - 1) * time)


def test_the_note_says_what_a_strength_is_on_a_shifted_model():
    """With shift 8, sigma = 8 t / (1 + 7 t); half noise is at t = 1 / 9 there, and at 1/2 without a shift."""
    note = preset.noise_note(0.5, flow_schedule(8.0), flow_schedule(1.0))
    assert "strength 0.5 starts with 89% noise" in note
    assert "with 50%: for as much, set 0.11" in note
    assert preset.noise_note(0.5, flow_schedule(1.05), flow_schedule(1.0)) == ""
