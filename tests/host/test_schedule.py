"""StrengthScheduler against the host's own schedules and schedulers, on every family."""

import json
import math

import comfy.samplers
import pytest
import torch
from comfy_extras.nodes_custom_sampler import BasicScheduler
from img2img_studio import host
from img2img_studio.core.curve import curve
from img2img_studio.core.schedule import StrengthSettings
from img2img_studio.dev.models import random_model
from img2img_studio.host.plan import asked_plan
from img2img_studio.host.schedule import cut_sampling

SCHEDULERS = comfy.samplers.SCHEDULER_NAMES
DISCRETE = ["eps", "v", "zero-SNR v"]
FLOW = ["flow", "flow shift 3", "flux"]
LEVELS = {"flow": True, "percent": "0 1,128 0", "timestep": "0 0,128 1", "ends": [0, 1]}
STEPS = [1, 4, 20, 50]
STRENGTHS = [0.05 * k for k in range(1, 20)] + [0.01, 0.123, 0.58, 0.999, 1.0]


@pytest.fixture(scope="module", params=DISCRETE + FLOW)
def model(request):
    return random_model(request.param)


@pytest.fixture
def plan():
    """Sigmas, first sigma and report, as the node makes them; what its body shows would double the time."""

    def run(model, *values, **options):
        made = host.plan_strength(model, StrengthSettings(*values, **options))
        return made.sigmas, made.start_sigma, json.dumps({"capped": made.capped})

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
        assert (share if flow else share / (sampling.sigma_data + share)) == pytest.approx(0.4, abs=1e-6)


def test_the_payload_of_the_curve_is_exact(nodes):
    out = nodes["StrengthScheduler"].execute(random_model("eps"), "normal", 20, 0.6)
    facts = json.loads(json.dumps(out.ui["img2img_strength"][0], allow_nan=False))
    points = [[float(number) for number in pair.split()] for pair in facts["points"].split(",")]
    sigmas = out.args[0].double()
    assert [share for _, share in points] == pytest.approx((sigmas / (1 + sigmas)).tolist(), abs=1e-3)
    assert facts["start_sigma"] == pytest.approx(float(sigmas[0]), rel=1e-5)
    assert facts["start_timestep"] == pytest.approx(0.6 * 999, abs=1e-3)
    assert points[0][0] == pytest.approx(0.6 * 999, abs=0.06)
    assert points[-1] == [0, 0]
    assert facts["planned_calls"] == 20


def question(payload, **changes):
    settings = ("scheduler", "steps", "strength", "measure", "step_count", "levels")
    return json.loads(json.dumps({name: payload[name] for name in settings} | changes))


def odd_scheduler(sampling, steps):
    """As another pack would write one: between the table's rows and the model's timesteps."""
    shares = torch.linspace(1, 0, steps + 1)[:-1]
    table = [float(sampling.sigmas[int(share * (len(sampling.sigmas) - 1))]) for share in shares]
    times = [float(sampling.sigma(sampling.timestep(sampling.sigma_max) * share)) for share in shares]
    return torch.tensor([math.sqrt(one * other) for one, other in zip(table, times, strict=True)] + [0.0])


@pytest.mark.parametrize("measure", ["timestep", "noise", "steps"])
def test_the_noise_levels_that_a_run_leaves_behind_plan_as_the_model_does(nodes, model, measure, monkeypatch):
    odd = comfy.samplers.SchedulerHandler(odd_scheduler)
    monkeypatch.setitem(comfy.samplers.SCHEDULER_HANDLERS, "odd", odd)
    monkeypatch.setattr(comfy.samplers, "SCHEDULER_NAMES", [*SCHEDULERS, "odd"])
    first = nodes["StrengthScheduler"].execute(model, "normal", 20, 0.5).ui["img2img_strength"][0]
    for scheduler in [*SCHEDULERS, "odd"]:
        for strength in (0.05, 0.61, 1.0):
            settings = StrengthSettings(scheduler, 20, strength, measure)
            exact = curve(host.noise_schedule(model), host.plan_strength(model, settings))
            asked = asked_plan(question(first, scheduler=scheduler, strength=strength, measure=measure))
            assert asked["planned_calls"] == exact["planned_calls"]
            assert asked["capped"] == exact["capped"]
            assert asked["start_sigma"] == pytest.approx(exact["start_sigma"], rel=1e-5, abs=0.01), (
                scheduler,
                strength,
            )
            assert asked["noise_share"] == pytest.approx(exact["noise_share"], abs=0.001)
            assert asked["start_timestep"] == pytest.approx(exact["start_timestep"], abs=0.2)
            if math.isfinite(exact["snr_db"]):
                assert asked["snr_db"] == pytest.approx(exact["snr_db"], abs=0.01)


def distance(payload, sigma):
    return abs(math.log(payload["start_sigma"] / sigma))


@pytest.mark.parametrize("scheduler", ["simple", "karras"])
def test_stock_denoise_and_strength_translate_into_each_other(nodes, model, scheduler):
    first = nodes["StrengthScheduler"].execute(model, scheduler, 20, 0.5).ui["img2img_strength"][0]
    for denoise in (0.4, 0.75, 1.0):
        stock = float(BasicScheduler.execute(model, scheduler, 20, denoise).args[0][0])
        found = asked_plan(question(first, denoise=denoise))
        for strength in (max(0.01, found["strength"] - 0.01), min(1.0, found["strength"] + 0.01)):
            other = asked_plan(question(first, strength=strength))
            assert distance(found, stock) <= distance(other, stock) + 1e-3
        again = float(BasicScheduler.execute(model, scheduler, 20, found["strengths"]["steps"]).args[0][0])
        assert again == pytest.approx(found["start_sigma"], rel=0.12)


def test_a_point_of_the_curve_is_a_strength(nodes, model):
    first = nodes["StrengthScheduler"].execute(model, "simple", 8, 0.5).ui["img2img_strength"][0]
    for measure in ("timestep", "noise", "steps"):
        found = asked_plan(question(first, timestep=600, measure=measure))
        assert found["start_timestep"] == pytest.approx(600, abs=60 if measure == "steps" else 12)
    assert asked_plan(question(first, timestep=0))["planned_calls"] == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strength": 2}, "strength"),
        ({"scheduler": "none such"}, "scheduler"),
        ({"steps": 10_000, "strength": 0.01, "measure": "steps"}, "too many"),
        ({"levels": {"flow": True}}, "levels"),
        ({"levels": {"flow": True, "log_sigmas": "0 1,1 0", "percent": "", "timestep": "", "ends": [0, 1]}}, "levels"),
        (
            {"levels": {"flow": True, "log_sigmas": "0 0,1e12 1", "percent": "", "timestep": "", "ends": [0, 1]}},
            "levels",
        ),
    ],
)
def test_questions_that_make_no_sense_are_refused(nodes, changes, message):
    first = nodes["StrengthScheduler"].execute(random_model("eps"), "simple", 8, 0.5).ui["img2img_strength"][0]
    with pytest.raises(ValueError, match=message):
        asked_plan(question(first, **changes))


def test_without_a_model_it_is_stable_diffusion(nodes):
    """The random eps model has Stable Diffusion 1.5's noise levels."""
    exact = nodes["StrengthScheduler"].execute(random_model("eps"), "karras", 20, 0.6).ui["img2img_strength"][0]
    estimate = asked_plan(question(exact, levels=None))
    assert {name: estimate[name] for name in estimate if name in exact and name != "levels"} == {
        name: exact[name] for name in exact if name not in ("levels", "model")
    }


def test_picture_to_picture_models_are_refused():
    class Edit:
        def get_model_object(self, name):
            return comfy.model_sampling.IMG_TO_IMG()

    with pytest.raises(ValueError, match=r"model: .*no strength"):
        host.noise_schedule(Edit())


def test_cut_rows_are_rows_of_the_whole_schedule():
    schedule = host.noise_schedule(random_model("eps"))
    cut = cut_sampling(schedule, float(schedule.sigmas[500]))
    rows = torch.tensor([schedule.row(float(sigma)) for sigma in cut.sigmas])
    assert torch.allclose(rows, torch.linspace(0, 500, 1000), atol=1e-3)
    assert torch.allclose(cut.timestep(cut.sigma(torch.tensor(123.25))), torch.tensor(123.25, dtype=torch.float64))
