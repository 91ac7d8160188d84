"""StrengthScheduler against the host's own schedules and schedulers, on every family."""

import json
import math

import comfy.samplers
import pytest
import torch
from comfy_extras.nodes_custom_sampler import BasicScheduler
from img2img_studio import host
from img2img_studio.dev.models import random_model
from img2img_studio.host.schedule import CutSampling

SCHEDULERS = comfy.samplers.SCHEDULER_NAMES
DISCRETE = ["eps", "v", "zero-SNR v"]
FLOW = ["flow", "flow shift 3", "flux"]
STEPS = [1, 4, 20, 50]
STRENGTHS = [0.05 * k for k in range(1, 20)] + [0.01, 0.123, 0.58, 0.999, 1.0]


@pytest.fixture(scope="module", params=DISCRETE + FLOW)
def model(request):
    return random_model(request.param)


@pytest.fixture
def plan(nodes):
    def run(model, *values, **options):
        return nodes["StrengthScheduler"].execute(model, *values, **options).args

    return run


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("measure", ["timestep", "noise"])
def test_first_sigma_is_exact_and_the_rest_falls_to_zero(plan, model, scheduler, measure):
    sampling = model.get_model_object("model_sampling")
    flow = isinstance(sampling, comfy.model_sampling.CONST)
    largest = float(sampling.sigma_max)
    for steps in STEPS:
        for strength in STRENGTHS:
            for step_count, count in (("exact", steps), ("proportional", max(1, math.floor(steps * strength + 1e-6)))):
                sigmas, start, report = plan(model, scheduler, steps, strength, measure=measure, step_count=step_count)
                assert len(sigmas) == count + 1
                assert bool((sigmas.diff() < 0).all())
                assert sigmas[-1] == 0
                assert start == float(sigmas[0])
                capped = json.loads(report)["capped"]
                if measure == "timestep" and flow:
                    assert abs(start - sampling.percent_to_sigma(1 - strength)) < 1e-3
                elif measure == "timestep":
                    row = torch.searchsorted(sampling.sigmas, torch.tensor(start))
                    assert abs(float(row) - strength * 999) <= 1
                elif capped:
                    assert start == largest
                    assert strength > largest / (1 + largest)
                else:
                    assert abs((start if flow else start / (1 + start)) - strength) < 1e-3


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_measure_steps_is_stock_denoise_bit_for_bit(plan, model, scheduler):
    for steps in STEPS:
        for strength in STRENGTHS:
            stock = BasicScheduler.execute(model, scheduler, steps, strength).args[0]
            sigmas = plan(model, scheduler, steps, strength, measure="steps")[0]
            if bool(torch.isfinite(stock).all()):
                assert torch.equal(sigmas, stock)
            else:  # kl_optimal divides by zero at one step
                assert (scheduler, len(sigmas)) == ("kl_optimal", 2)
                assert sigmas[0] == pytest.approx(float(model.get_model_object("model_sampling").sigma_max))


def test_stock_starts_anywhere_at_the_same_denoise():
    """What the pack is for: at denoise 0.5 the host's start depends on the scheduler and the number of steps."""
    model = random_model("eps")
    sampling = model.get_model_object("model_sampling")
    starts = [
        float(sampling.timestep(BasicScheduler.execute(model, scheduler, steps, 0.5).args[0][0]))
        for scheduler in SCHEDULERS
        for steps in STEPS
    ]
    finite = [start for start in starts if math.isfinite(start)]
    assert min(finite) < 200
    assert max(finite) > 900


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_strength_one_is_the_stock_schedule(plan, scheduler):
    model = random_model("eps")
    stock = BasicScheduler.execute(model, scheduler, 20, 1.0).args[0]
    sigmas = plan(model, scheduler, 20, 1.0)[0]
    if scheduler == "ddim_uniform":  # stock starts it below the largest sigma
        assert sigmas[0] > stock[0]
    else:
        assert torch.allclose(sigmas, stock, rtol=2e-2)


@pytest.mark.parametrize("name", ["edm", "cosmos", "video flow", "flow 128 channels"])
def test_other_families_have_exact_starts_too(plan, name):
    model = random_model(name)
    sampling = model.get_model_object("model_sampling")
    for scheduler in SCHEDULERS:
        for strength in (0.2, 0.7):
            assert plan(model, scheduler, 8, strength)[1] == pytest.approx(
                sampling.percent_to_sigma(1 - strength), rel=1e-5
            )
        share = plan(model, scheduler, 8, 0.4, measure="noise")[1]
        flow = isinstance(sampling, comfy.model_sampling.CONST)
        assert (share if flow else share / (1 + share)) == pytest.approx(0.4, abs=1e-6)


def test_the_payload_of_the_curve_is_exact(nodes):
    out = nodes["StrengthScheduler"].execute(random_model("eps"), "normal", 20, 0.6)
    facts = json.loads(json.dumps(out.ui["img2img_strength"][0], allow_nan=False))
    assert facts["sigmas"] == out.args[0].tolist()
    assert facts["start_timestep"] == pytest.approx(0.6 * 999, abs=1e-3)
    assert facts["timesteps"][0] == pytest.approx(0.6 * 999, abs=1e-3)
    assert facts["timesteps"][-1] == 0
    assert facts["planned_calls"] == 20


def test_picture_to_picture_models_are_refused():
    class Edit:
        def get_model_object(self, name):
            return comfy.model_sampling.IMG_TO_IMG()

    with pytest.raises(ValueError, match=r"model: .*no strength"):
        host.noise_schedule(Edit())


def test_cut_rows_are_rows_of_the_whole_schedule():
    schedule = host.noise_schedule(random_model("eps"))
    cut = CutSampling(schedule, float(schedule.sigmas[500]))
    rows = torch.tensor([schedule.row(float(sigma)) for sigma in cut.sigmas])
    assert torch.allclose(rows, torch.linspace(0, 500, 1000), atol=1e-3)
    assert torch.allclose(cut.timestep(cut.sigma(torch.tensor(123.25))), torch.tensor(123.25, dtype=torch.float64))
