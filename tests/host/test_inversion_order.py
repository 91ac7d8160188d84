"""How the error of a round trip falls with the steps, on models whose ideal answer is known, through the host."""

import math

import pytest
import torch
from img2img_studio import host
from img2img_studio.benchmarks.compared_methods import COMPARED, fireflow
from img2img_studio.core.inversion import Inversion
from img2img_studio.core.inversion_methods import METHODS, Ascent, invert
from img2img_studio.dev.models import mixture_model


def prompt(*weights):
    """For ``mixture_model``: how likely each of its five normal distributions is."""
    return [[torch.tensor(weights).view(1, 1, -1), {}]]


PROMPT, NEGATIVE = prompt(0.4, -0.2, 0.0, 0.2, -0.4), prompt(0.0, 0.0, 0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def models():
    return {family: mixture_model(family) for family in ("eps", "v", "flow")} | {
        "eps, narrow": mixture_model("eps", spread=0.2)
    }


def pictures(model, count):
    """Drawn from the distributions the model knows."""
    network = model.model.diffusion_model
    generator = torch.Generator().manual_seed(1)
    centers = network.means[torch.randint(len(network.means), (count,), generator=generator)]
    return (centers + network.spread * torch.randn(centers.shape, generator=generator)).float()


def round_trip(nodes, model, name, steps, cfg=1.0):
    """Mean square error, with the state given to the model in float64, and the calls both ways."""
    flow, sigmas = (
        host.noise_schedule(model).flow,
        nodes["StrengthScheduler"].execute(model, "normal", steps, 1.0).args[0],
    )
    name, iterations = name.split() if " " in name else (name, 3)
    method = (METHODS | COMPARED)[name]
    generator = torch.Generator().manual_seed(2)

    def error(denoise, x):
        def noise_at(sigma):
            return torch.randn(x.shape, generator=generator, dtype=x.dtype)

        divisor, rising = host.input_divisor(model), sigmas.flip(0).tolist()
        ascent = Ascent(rising, flow, divisor, int(iterations), noise_at, keep=False, watch=lambda state: None)
        walk, _ = invert(denoise, x, method, ascent)
        kept = {"below": walk.below, "corrections": walk.corrections}
        *_, back = method.down(denoise, Inversion(name, sigmas, x, walk.state, flow, **kept), 1.0)
        return float((back - x).square().mean())

    solved = host.solve(host.Guidance(model, PROMPT, NEGATIVE, cfg), sigmas, pictures(model, 8), error, double=True)
    return solved.result, solved.work.calls


# FireFlow is of order 3 where every step shrinks (below). "normal" on eps models leaves the last
# step, from the model's least sigma to 0, as it is, which shows where the pictures' distributions are narrow.
ORDERS = [
    ("eps", "ddim", 1.0), ("eps", "corrected 1", 2.0), ("eps", "corrected 2", 3.1), ("eps, narrow", "fireflow", 2.0),
    ("v", "corrected 1", 2.0),
    ("flow", "ddim", 1.0), ("flow", "corrected 1", 2.0), ("flow", "corrected 2", 3.1), ("flow", "fireflow", 3.0),
]  # fmt: skip


@pytest.mark.parametrize(("family", "name", "order"), ORDERS)
def test_the_error_falls_with_the_order_of_the_method(nodes, models, family, name, order):
    (coarse, _), (fine, calls) = (round_trip(nodes, models[family], name, steps) for steps in (80, 160))
    print(family, name, f"RMS {math.sqrt(fine):.1e}", calls, "calls")
    assert math.log2(math.sqrt(coarse / fine)) == pytest.approx(order, abs=0.25)


@pytest.mark.parametrize("cfg", [1.0, 7.5])
@pytest.mark.parametrize("family", ["eps", "v", "flow"])
@pytest.mark.parametrize("name", ["exact", "leapfrog"])
def test_two_step_methods_come_back_to_rounding(nodes, models, family, name, cfg):
    for steps in (1, 50):
        error, calls = round_trip(nodes, models[family], name, steps, cfg)
        assert error <= 1e-18
        assert calls == max(1, 2 * steps - 1)


@pytest.mark.parametrize("cfg", [1.0, 7.5])
@pytest.mark.parametrize("family", ["eps", "v", "flow"])
@pytest.mark.parametrize("method", ["pinned", "noise_maps"])
def test_remembered_corrections_bring_the_picture_back(nodes, models, family, method, cfg):
    assert round_trip(nodes, models[family], method, 50, cfg)[0] <= 1e-14


@pytest.mark.parametrize("family", ["eps", "v", "zero-SNR v", "edm", "flow", "cosmos"])
def test_the_closed_form_answers_in_every_family(family):
    """Far below the spread of the pictures the expected picture is the state itself; far above, a weighted mean."""
    model = mixture_model(family)
    clean = pictures(model, 3)
    signal = 1.0 if not host.noise_schedule(model).flow else 1 - 1e-3
    means = model.model.diffusion_model.means

    def answers(denoise, x):
        top = 0.999 if host.noise_schedule(model).flow else 80.0
        return denoise(signal * x, 1e-3), denoise(top * torch.randn(x.shape, dtype=x.dtype), top)

    guidance = host.Guidance(model, NEGATIVE, NEGATIVE, 1.0)
    near, far = host.solve(guidance, torch.tensor([1.0, 0.0]), clean, answers, double=True).result
    assert torch.allclose(near, clean.double(), atol=1e-3)
    assert torch.allclose(far, means.mean(0).expand_as(far), atol=0.15)


@pytest.mark.parametrize("flow", [False, True])
def test_fireflow_comes_back_with_the_third_order_where_every_step_shrinks(flow):
    """On pictures of one normal distribution, whose ideal denoiser is known."""
    picture = 0.5 + 0.7 * torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def denoise(x, sigma):
        a = 1 - sigma if flow else 1.0
        return 0.5 + a * 0.49 / (a**2 * 0.49 + sigma**2) * (x - a * 0.5)

    def divisor(sigma):
        return 1.0 if flow else math.hypot(1, sigma)

    errors = []
    for steps in (80, 160):
        sigmas = [step / steps if flow else 14.6 * (step / steps) ** 3 for step in range(steps + 1)]
        *_, top = fireflow(denoise, picture, sigmas, divisor)
        *_, back = fireflow(denoise, top, sigmas[::-1], divisor)
        errors.append(float((back - picture).square().mean().sqrt()))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(3, abs=0.25)
