"""What every family of models must give, or refuse with a sentence: one function for each capability.

A check returns where all is well, raises the pack's own ValueError where a family cannot do a thing, and fails by an
assertion, or by any other error, where something is wrong.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..host import cell_pixels, noise_schedule
from .families import Family

SEED, STEPS, STRENGTH = 5, 2, 0.7
SAMPLING = ("euler", "normal", SEED)


@dataclass(frozen=True)
class Bench:
    """A family with its model, and the nodes to try on it."""

    nodes: dict[str, Any]
    family: Family

    @cached_property
    def model(self) -> Any:
        """The MODEL."""
        return self.family.model()

    @cached_property
    def vae(self) -> Any:
        """The VAE."""
        return self.family.vae()

    @property
    def cfg(self) -> float:
        """1 where guidance is built in."""
        return 1.0 if self.family.guided else 3.0

    @cached_property
    def stock(self) -> Any:
        """ComfyUI's own nodes."""
        return importlib.import_module("nodes")

    def prompts(self, pictures: int = 1) -> tuple[Any, Any]:
        """Prompt and negative prompt."""
        return self.family.prompt(1, pictures), self.family.prompt(2, pictures)

    def sigmas(self, strength: float = STRENGTH, measure: str = "timestep") -> Tensor:
        """From Strength Scheduler."""
        return self.nodes["StrengthScheduler"].execute(self.model, "normal", STEPS, strength, measure=measure).args[0]

    def sampled(self, latent: Any, sigmas: Tensor, prompts: Any = None, model: Any = None, **more: Any) -> Any:
        """The LATENT that Guided Sampler makes of one, with another MODEL than the family's where one is given."""
        values = (model or self.model, *(prompts or self.prompts()), latent, sigmas, self.cfg, "euler", SEED)
        return self.nodes["Img2ImgGuidedSampler"].execute(*values, **more).args[0]

    def ksampler(self, latent: Any, denoise: float = STRENGTH, prompts: Any = None) -> Any:
        """What ComfyUI's own KSampler makes of it."""
        prompts = prompts or self.prompts()
        return self.stock.common_ksampler(
            self.model, SEED, STEPS, self.cfg, "euler", "normal", *prompts, latent, denoise=denoise
        )[0]

    def images(self) -> Tensor:
        """What this family's latents are made of: a picture, or the frames of a clip."""
        unit, (height, width) = self.vae.spacial_compression_encode(), self.family.shape[-2:]
        frames = 4 * self.family.shape[1] - 3 if self.family.clip else 1
        return torch.rand(frames, height * unit, width * unit, 3, generator=torch.Generator().manual_seed(3))

    def spread(self, samples: Tensor) -> Tensor:
        """Samples in the model's own space, in units of what is usual there."""
        space = self.model.get_model_object("process_latent_in")(samples)
        return space / space.std()


def chain(bench: Bench) -> None:
    """Noised and sampled, in one run and in two, as KSampler does it; strength 0 changes nothing."""
    latent, sigmas = bench.family.latent(), bench.sigmas(measure="steps")
    noised = bench.nodes["SDEditNoise"].execute(bench.model, latent, sigmas, SEED).args[0]
    theirs = bench.ksampler(latent)["samples"]
    _same_bits(bench.sampled(noised, sigmas), theirs)
    _same_bits(bench.sampled(latent, sigmas), theirs)
    half = bench.sampled(noised, sigmas[:2])
    _same_bits(bench.sampled(half, sigmas[1:]), theirs)
    _same_bits(bench.sampled(latent, sigmas[:0]), latent["samples"])


def two_models(bench: Bench) -> None:
    """A second model takes the rest of a run over, in one node as in the two that are made by hand."""
    latent, sigmas, low = bench.family.latent(), bench.sigmas(), bench.family.model(1)
    shares = [noise_schedule(bench.model).noise_share(float(sigma)) for sigma in sigmas[:STEPS]]
    split_at = sum(shares) / STEPS
    high_sigmas, low_sigmas = bench.nodes["Img2ImgSplitSigmas"].execute(bench.model, sigmas, split_at).args
    assert len(high_sigmas) == len(low_sigmas) == STEPS
    half = bench.sampled(bench.nodes["SDEditNoise"].execute(bench.model, latent, sigmas, SEED).args[0], high_sigmas)
    by_hand = bench.sampled(half, low_sigmas, model=low)["samples"]
    _same_bits(bench.sampled(latent, sigmas, low_model=low, split_at=split_at), by_hand)


def refinement(bench: Bench) -> None:
    """One pass is a plain run, and its recipe gives it again."""
    latent, sigmas = bench.family.latent(), bench.sigmas()
    values = (bench.model, *bench.prompts(), latent, str(STRENGTH), STEPS, bench.cfg, *SAMPLING, "same")
    final, _, report = bench.nodes["ProgressiveRefine"].execute(*values).args
    _same_bits(final, bench.sampled(latent, sigmas)["samples"])
    again = bench.nodes["ProgressiveRefine"].execute(*values, recipe=report).args
    assert '"identical": true' in again[2]


def variations(bench: Bench) -> None:
    """Each is the same alone, in a batch, and as KSampler paints it; every picture keeps its own conditioning."""
    family, pictures = bench.family, 1 if bench.family.config == "SVD_img2vid" else 2
    latent = family.latent(2)
    values = (bench.model, *bench.prompts(2), latent, 2, STRENGTH, STEPS, bench.cfg, *SAMPLING, 1.0)
    batch = bench.nodes["VariationBatch"].execute(*values).args[0]["samples"]
    assert len(batch) == 4
    values = (*values[:4], 1, *values[5:])
    second = bench.nodes["VariationBatch"].execute(*values, seeds=str(SEED + 1), batch_limit=1).args[0]["samples"]
    rows = [1, 3] if pictures == 2 else [2, 3]
    _close(second, batch[rows])


def grid(bench: Bench) -> None:
    """A cell is what Guided Sampler paints with its settings."""
    latent = bench.family.latent()
    axes = ("strength", str(STRENGTH), "seed", f"{SEED}, {SEED + 1}")
    values = (bench.model, *bench.prompts(), latent, bench.vae, *axes, 0.5, STEPS, bench.cfg, *SAMPLING)
    cells = bench.nodes["Img2ImgStrengthGrid"].execute(*values).args[1]["samples"]
    _same_bits({"samples": cells[:1]}, bench.sampled(latent, bench.sigmas())["samples"])


def edit_by_words(bench: Bench) -> None:
    """Equal prompts give the picture back, others do not; what a mask keeps, keeps its bits, and a mask is found."""
    latent, (prompt, other) = bench.family.latent(), bench.prompts()
    samples, (height, width) = latent["samples"], bench.family.shape[-2:]

    def edited(target: Any, **more: Any) -> tuple[Tensor, Tensor]:
        values = (bench.model, prompt, target, other, latent, "normal", STEPS, STRENGTH, bench.cfg, 1.0, SEED)
        painted, found, _ = bench.nodes["Img2ImgPromptEdit"].execute(*values, **more).args
        return painted["samples"], found

    _close(edited(prompt)[0], samples)
    changed, found = edited(other, find_mask="show")
    assert bool(changed.isfinite().all())
    assert not torch.equal(changed, samples)
    mask = torch.zeros(1, height, width)
    mask[..., width // 2 :] = 1
    kept = torch.broadcast_to(mask == 0, samples.shape)
    assert torch.equal(edited(other, mask=mask, finish=0.5)[0][kept], samples[kept])
    values = (bench.model, prompt, other, latent, "normal", SEED, 0.4)
    again = bench.nodes["Img2ImgPromptMask"].execute(*values).args[0]
    cell = cell_pixels(bench.model)
    for one in (found, again):
        assert one.shape[-2:] == (height * cell, width * cell)
        assert 0 <= float(one.min()) <= float(one.max()) <= 1


def prompt_schedule(bench: Bench) -> None:
    """From a prompt to itself is the prompt; and the second one is heard from the switch on."""
    latent, sigmas = bench.family.latent(), bench.sigmas()
    positive, negative = bench.prompts()

    def scheduled(late: Any) -> Tensor:
        prompt = bench.nodes["Img2ImgPromptSchedule"].execute(positive, late, 0.5, 0.0).args[0]
        return bench.sampled(latent, sigmas, (prompt, negative))["samples"]

    _close(scheduled(positive), bench.sampled(latent, sigmas)["samples"])
    assert not torch.equal(scheduled(negative), bench.sampled(latent, sigmas)["samples"])


def inversion(bench: Bench) -> None:
    """Up and down again, by the methods that promise to give the picture back."""
    latent, (prompt, _) = bench.family.latent(), bench.prompts()
    for method, error in (("exact", 1e-5), ("pinned", 1e-3)):
        found = bench.nodes["DDIMInvert"].execute(bench.model, prompt, latent, "normal", 4, 0.8, method, 1, 1.0, 0)
        back = bench.nodes["Img2ImgInversionSampler"].execute(bench.model, prompt, prompt, found.args[0], 1.0, 1.0)
        missed = bench.spread(back.args[0]["samples"]) - bench.spread(latent["samples"])
        assert float(missed.abs().max()) <= error, f"{method}: {float(missed.abs().max()):.2g}"


def null_text(bench: Bench) -> None:
    """The error that it reports is the one that comes back."""
    latent, (prompt, _) = bench.family.latent(), bench.prompts()
    found = bench.nodes["DDIMInvert"].execute(
        bench.model, prompt, latent, "normal", STEPS, 0.5, "ddim", 1, 1.0, 0, keep_trajectory=True
    )
    made = bench.nodes["Img2ImgNullTextOptimize"].execute(bench.model, prompt, found.args[0], 3.0, 1, 0.01).args[0]
    back = bench.nodes["Img2ImgInversionSampler"].execute(bench.model, prompt, prompt, made, 3.0, 1.0).args[0]
    assert bool(back["samples"].isfinite().all())


def masks(bench: Bench) -> None:
    """Outside a hard mask are the input's own bits, inside are KSampler's; a gray one is obeyed in between."""
    latent, sigmas = bench.family.latent(), bench.sigmas(measure="steps")
    height, width = bench.family.shape[-2:]
    mask = torch.zeros(1, height, width)
    mask[..., width // 2 :] = 1
    ours = bench.sampled(latent, sigmas, mask=mask)["samples"]
    theirs = bench.ksampler(latent | {"noise_mask": mask})["samples"]
    inside = torch.broadcast_to(mask.bool(), ours.shape)
    assert torch.equal(ours[~inside], latent["samples"][~inside])
    assert torch.equal(ours[inside], theirs[inside])
    assert bool(bench.sampled(latent, sigmas, mask=mask * 0.5)["samples"].isfinite().all())


def all_in_one(bench: Bench) -> None:
    """As VAE Encode, KSampler and VAE Decode; and at any size, whose borders come off again."""
    unit, image = bench.vae.spacial_compression_encode(), bench.images()
    settings = (*bench.prompts(), STRENGTH, STEPS, bench.cfg, *SAMPLING)

    def painted(image: Tensor, **more: Any) -> Tensor:
        return bench.nodes["Img2ImgAllInOne"].execute(image, bench.model, bench.vae, *settings, **more).args[0]

    encoded = bench.stock.VAEEncode().encode(bench.vae, image)[0]
    decoded = bench.stock.VAEDecode().decode(bench.vae, bench.ksampler(encoded))[0]
    _same_bits({"samples": painted(image, measure="steps")}, decoded.reshape(image.shape))
    odd = image[:, : -unit // 2 - 3, : -unit // 2 - 5] if unit > 1 else image[:, :-3, :-5]
    for fit in ("pad", "crop"):
        assert painted(odd, fit=fit).shape == odd.shape


def tiles(bench: Bench) -> None:
    """One tile is the plain chain; more of them cover the picture."""
    image = bench.images()
    side = max(64, *image.shape[1:3])
    settings = (*bench.prompts(), 1.0, STRENGTH, STEPS, bench.cfg, *SAMPLING)

    def painted(image: Tensor, **more: Any) -> Tensor:
        values = (image, bench.vae, bench.model, *settings, side, 16)
        return bench.nodes["Img2ImgTiledRefine"].execute(*values, **more).args[0]

    whole = painted(image, invert=0.0)
    chain = bench.sampled(bench.stock.VAEEncode().encode(bench.vae, image)[0], bench.sigmas())
    _same_bits({"samples": whole}, bench.stock.VAEDecode().decode(bench.vae, chain)[0].reshape(image.shape))
    large = image.repeat(1, 2, 3, 1)
    cut = painted(large)
    assert cut.shape == large.shape
    assert bool(cut.isfinite().all())


def _same_bits(latent: Any, samples: Tensor) -> None:
    assert torch.equal(latent["samples"], samples), f"off by {float((latent['samples'] - samples).abs().max()):.3g}"


def _close(one: Tensor, other: Tensor) -> None:
    """Up to the rounding of batches of different sizes."""
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4 * float(other.abs().max()))


CAPABILITIES: dict[str, Callable[[Bench], None]] = {
    "chain": chain,
    "masks": masks,
    "two models": two_models,
    "refine": refinement,
    "variations": variations,
    "grid": grid,
    "edit by words": edit_by_words,
    "prompt schedule": prompt_schedule,
    "inversion": inversion,
    "null-text": null_text,
    "all in one": all_in_one,
    "tiles": tiles,
}
