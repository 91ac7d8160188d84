"""Strength in sigma space, on the schedules of SD1.5 and of flow models written out by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from img2img_studio.core.schedule import (
    NoiseSchedule,
    StrengthSettings,
    executed_steps,
    repaired,
    start_sigma,
    strength_sigmas,
)


def stable_diffusion():
    """SD1.5: scaled linear betas over 1000 timesteps; sigma = sqrt((1 - abar) / abar)."""
    abar = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2, dim=0)
    sigmas = ((1 - abar) / abar).sqrt()

    def percent_to_sigma(percent):
        t = (1 - percent) * 999
        low = min(998, int(t))
        return math.exp(torch.lerp(sigmas[low].log(), sigmas[low + 1].log(), t - low))

    return NoiseSchedule(sigmas, False, percent_to_sigma)


def flow(shift):
    def shifted(t):
        return shift * t / (1 + (shift - 1) * t)

    sigmas = shifted(torch.arange(1, 1001, dtype=torch.float64) / 1000)
    return NoiseSchedule(sigmas, True, lambda percent: shifted(1 - percent))


SCHEDULES = {"sd": stable_diffusion(), "flow": flow(1.0), "flow shift 3": flow(3.0)}
SCHEDULES["half the spread"] = replace(stable_diffusion(), spread=0.5)


def evenly(schedule):
    """Sigmas evenly over the rows of a schedule, as the scheduler `normal` has them."""

    def scheduler(start, steps):
        rows = torch.linspace(schedule.row(start or schedule.sigma_max), 0, steps, dtype=torch.float64)
        levels = np.interp(rows.numpy(), np.arange(1000), schedule.sigmas.log().numpy())
        return torch.cat([torch.from_numpy(levels).exp(), torch.zeros(1)])

    return scheduler


over_timesteps = evenly(SCHEDULES["sd"])


def planned(*settings, **more):
    """The plan of some settings on SD1.5."""
    return strength_sigmas(SCHEDULES["sd"], over_timesteps, StrengthSettings("normal", *settings, **more))


def far_from_sound(start, steps):
    """Too few, repeated, unsorted and broken values: what a scheduler may give in the worst case."""
    return torch.tensor([5.0, float("nan"), 5.0, 0.5, 2.0, 0.0, 0.0])


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("sound", [True, False])
@pytest.mark.parametrize("steps", [1, 2, 4, 20, 50, 999])
@pytest.mark.parametrize("strength", [1e-6, 0.01, 0.3, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("measure", ["timestep", "noise"])
def test_sigmas_start_where_strength_says_and_fall_to_zero(name, sound, steps, strength, measure):
    schedule = SCHEDULES[name]
    scheduler = evenly(schedule) if sound else far_from_sound
    plan = strength_sigmas(schedule, scheduler, StrengthSettings("normal", steps, strength, measure))
    expected, capped = start_sigma(schedule, strength, measure)
    assert len(plan.sigmas) == steps + 1
    assert plan.start_sigma == pytest.approx(expected, rel=1e-6)
    assert bool((plan.sigmas.diff() < 0).all())
    assert plan.sigmas[-1] == 0
    assert plan.capped == capped


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("strength", [0.05, 0.37, 0.5, 0.8, 1.0])
def test_timestep_measure_is_strength_times_the_last_timestep(name, strength):
    schedule = SCHEDULES[name]
    sigma, _ = start_sigma(schedule, strength, "timestep")
    assert schedule.timestep(sigma) == pytest.approx(strength * 999, abs=1.0)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("name", SCHEDULES)
def test_noise_share_and_sigma_are_inverses(share, name):
    schedule = SCHEDULES[name]
    assert schedule.noise_share(schedule.sigma_of_share(share)) == pytest.approx(share)


@pytest.mark.parametrize("sigma", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("name", SCHEDULES)
def test_noise_share_is_one_over_one_plus_root_snr(sigma, name):
    schedule = SCHEDULES[name]
    snr = 10 ** (schedule.snr_db(sigma) / 10)
    assert schedule.noise_share(sigma) == pytest.approx(1 / (1 + math.sqrt(snr)))


def test_snr_of_nothing_of_all_noise_and_of_as_much_noise_as_picture():
    assert SCHEDULES["sd"].snr_db(0.0) == math.inf
    assert SCHEDULES["flow"].snr_db(1.0) == -math.inf
    assert SCHEDULES["sd"].snr_db(1.0) == 0.0
    assert SCHEDULES["half the spread"].snr_db(0.5) == 0.0
    assert start_sigma(SCHEDULES["half the spread"], 0.5, "noise") == (0.5, False)


def test_noise_measure_is_capped_at_the_largest_sigma():
    schedule = SCHEDULES["sd"]
    largest_share = schedule.noise_share(schedule.sigma_max)
    assert start_sigma(schedule, largest_share - 0.001, "noise")[1] is False
    assert start_sigma(schedule, largest_share + 0.001, "noise") == (schedule.sigma_max, True)
    assert start_sigma(SCHEDULES["flow"], 1.0, "noise") == (1.0, False)


@pytest.mark.parametrize(("steps", "strength", "executed"), [(50, 0.58, 29), (50, 0.6, 30), (20, 0.01, 1), (1, 1.0, 1)])
def test_proportional_steps_lose_none_to_rounding(steps, strength, executed):
    assert executed_steps(steps, strength, "proportional") == executed
    assert executed_steps(steps, strength, "exact") == steps
    plan = planned(steps, strength, step_count="proportional")
    assert plan.steps == executed


@pytest.mark.parametrize("measure", ["timestep", "noise", "steps"])
def test_strength_zero_has_no_sigmas(measure):
    plan = planned(20, 0.0, measure)
    assert plan.sigmas.shape == (0,)
    assert (plan.steps, plan.start_sigma) == (0, 0.0)


def test_measure_steps_is_the_tail_of_a_longer_schedule():
    plan = planned(5, 0.25, "steps")
    assert torch.equal(plan.sigmas, over_timesteps(None, 20)[-6:])
    half = planned(20, 0.5, "steps", "proportional")
    assert torch.equal(half.sigmas, over_timesteps(None, 20)[-11:])


def test_sound_sigmas_pass_the_repair():
    sigmas = torch.tensor([4.0, 3.0, 1.0, 0.2, 0.0])
    assert torch.allclose(repaired(sigmas, 4.0, 4), sigmas, rtol=1e-6)


@pytest.mark.parametrize("strength", [-0.1, 1.01, float("nan"), float("inf")])
def test_strength_outside_its_range_is_refused_by_name_and_value(strength):
    with pytest.raises(ValueError, match=f"strength .*0 to 1.*{strength}"):
        planned(20, strength)


def test_other_bad_input_is_refused():
    with pytest.raises(ValueError, match="steps must be 1 or more, got 0"):
        planned(0, 0.5)
    with pytest.raises(ValueError, match="measure must be one of timestep, noise, steps, got 'time'"):
        planned(20, 0.5, "time")
    with pytest.raises(ValueError, match="step_count must be one of"):
        planned(20, 0.5, "timestep", "most")
    with pytest.raises(ValueError, match="schedule of 20000000 steps"):
        planned(20, 1e-6, "steps")
