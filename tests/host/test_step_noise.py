"""Noise drawn at the steps of stochastic samplers belongs to the picture, not to the batch."""

import comfy.samplers
import pytest
import torch
from comfy_extras.nodes_custom_sampler import SamplerEulerAncestral
from img2img_studio.core.noise import StepNoise
from img2img_studio.dev.models import random_conditioning, random_model
from img2img_studio.host import Sampler

POSITIVE, NEGATIVE = random_conditioning(1), random_conditioning(2)
STOCHASTIC = [
    "euler_ancestral", "dpmpp_2m_sde", "dpmpp_sde", "ddpm", "dpmpp_3m_sde", "dpm_2_ancestral", "dpmpp_2s_ancestral",
    "lcm", "er_sde", "seeds_2", "sa_solver", "dpmpp_2m_sde_gpu", "res_multistep_ancestral",
]  # fmt: skip


class Spy:
    """Stands before the noise sampler that a run gets, and keeps what it gives."""

    def __init__(self, inner, drawn):
        self.inner, self.drawn = inner, drawn

    def __call__(self, sigma, sigma_next):
        noise = self.inner(sigma, sigma_next)
        self.drawn.append(noise.clone())
        return noise


@pytest.fixture
def spied(monkeypatch):
    """All noise that the next runs draw at their steps, in order."""
    drawn, original = [], Sampler.with_item_noise

    def with_spy(*arguments):
        sampler = original(*arguments)
        options = sampler.object.extra_options
        options["noise_sampler"] = Spy(options["noise_sampler"], drawn)
        return sampler

    monkeypatch.setattr(Sampler, "with_item_noise", with_spy)
    return drawn


@pytest.mark.parametrize("sampler", STOCHASTIC)
@pytest.mark.parametrize("family", ["eps", "flow shift 3"])
def test_item_of_a_batch_draws_the_same_noise_alone(nodes, spied, sampler, family):
    model = random_model(family)
    channels = model.get_model_object("latent_format").latent_channels
    samples = torch.randn(4, channels, 9, 7, generator=torch.Generator().manual_seed(2))
    sigmas = nodes["StrengthScheduler"].execute(model, "normal", 5, 0.7).args[0]

    def run(latent):
        spied.clear()
        noised = nodes["SDEditNoise"].execute(model, latent, sigmas, 3).args[0]
        out = nodes["Img2ImgGuidedSampler"].execute(model, POSITIVE, NEGATIVE, noised, sigmas, 2.0, sampler, 3)
        return out.args[0]["samples"], list(spied)

    together, drawn = run({"samples": samples, "batch_index": [0, 1, 2, 3]})
    assert drawn
    for item in range(4):
        alone, drawn_alone = run({"samples": samples[item : item + 1], "batch_index": [item]})
        assert len(drawn_alone) == len(drawn)
        for whole, single in zip(drawn, drawn_alone, strict=True):
            assert torch.equal(whole[item : item + 1], single)
        assert torch.allclose(together[item], alone[0], rtol=1e-3, atol=1e-3 * float(alone.abs().max()))


def test_noise_differs_between_items_steps_and_seeds():
    def draw(seed, item, sigma, sigma_next):
        noise = StepNoise([1, 4, 8, 8], [(seed, item)], torch.device("cpu"))
        return noise(torch.tensor(sigma), torch.tensor(sigma_next))

    base = draw(1, 0, 5.0, 4.0)
    assert torch.equal(base, draw(1, 0, 5.0, 4.0))
    for other in (draw(2, 0, 5.0, 4.0), draw(1, 1, 5.0, 4.0), draw(1, 0, 4.0, 3.0)):
        assert not torch.equal(base, other)
        assert abs(float(torch.corrcoef(torch.stack([base.flatten(), other.flatten()]))[0, 1])) < 0.25


def test_every_sampler_name_runs(nodes):
    model = random_model("eps")
    latent = {"samples": torch.randn(1, 4, 9, 7, generator=torch.Generator().manual_seed(2))}
    sigmas = nodes["StrengthScheduler"].execute(model, "karras", 4, 0.5).args[0]
    for name in comfy.samplers.SAMPLER_NAMES:
        out = nodes["Img2ImgGuidedSampler"].execute(model, POSITIVE, NEGATIVE, latent, sigmas, 2.0, name, 3)
        assert torch.isfinite(out.args[0]["samples"]).all(), name


def test_a_connected_sampler_overrides_the_name_and_keeps_its_options(nodes):
    model = random_model("eps")
    latent = {"samples": torch.randn(1, 4, 9, 7, generator=torch.Generator().manual_seed(2))}
    sigmas = nodes["StrengthScheduler"].execute(model, "karras", 4, 0.5).args[0]
    sampler = SamplerEulerAncestral.execute(0.0, 1.0).args[0]  # eta 0 draws nothing: it is euler
    options = dict(sampler.extra_options)

    def run(name, sampler=None):
        out = nodes["Img2ImgGuidedSampler"].execute(
            model, POSITIVE, NEGATIVE, latent, sigmas, 2.0, name, 3, sampler=sampler
        )
        return out.args[0]["samples"], out.args[1]

    connected, report = run("heun", sampler)
    assert torch.allclose(connected, run("euler")[0], atol=1e-4)
    assert "connected: sample_euler_ancestral" in report
    assert sampler.extra_options == options
