"""Refinement: several runs on one latent, each from what the one before left, with their colors watched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import mean
from typing import Any

import torch
from comfy.model_patcher import ModelPatcher
from comfy.sd import VAE
from torch import Tensor

from ..core.color import delta_e, match_channels
from ..core.conditioning import conditioning_digest
from ..core.mask import keep_outside
from ..core.noise import digest
from ..core.passes import RefinePlan, SettledPass
from ..core.report import Work
from .guider import Guidance
from .latent import OpenLatent
from .mask import RunMask, run_mask
from .model import model_fingerprint, versions
from .noise import draw_noise
from .progress import Progress, Thumbnails
from .sampler import Sampler
from .sampling import Sampled, Start, sample
from .vae import decode


def with_colors_of(opened: OpenLatent, area: RunMask, run: Sampled, contrast: bool = True) -> Sampled:
    """What a run gave, with the colors of the latent it started from; see ``core.color.match_channels``."""
    matched = match_channels(run.samples, opened.samples, contrast)
    if area.latent is not None:
        matched = keep_outside(area.latent.to(matched), opened.samples, matched)
    return replace(run, samples=matched)


@dataclass(frozen=True, eq=False, repr=False)
class PassRun:
    """One pass that was run.

    picture: [B, H, W, 3] and its mean Delta E to the first picture, where a VAE is connected
    """

    settled: SettledPass
    run: Sampled
    picture: Tensor | None = None
    drift: float | None = None

    def describe(self) -> dict[str, Any]:
        """The pass as a recipe needs it, and what it took."""
        plan = self.settled.plan
        return {
            "strength": plan.settings.strength,
            "steps": plan.steps,
            "seed": self.settled.seed,
            "cfg": self.settled.cfg,
            "measure": plan.settings.measure,
            "step_count": plan.settings.step_count,
            "capped": plan.capped,
            "sigmas": plan.sigmas,
            "delta_e": self.drift,
            **self.run.work.describe(),
        }


@dataclass(frozen=True, eq=False, repr=False)
class Refined:
    """What a refinement gave.

    passes:  those that were run
    final:   [B, C, ...] the last latent, in ComfyUI's latent space
    stopped: why it stopped early, None where it did not
    """

    passes: list[PassRun]
    final: Tensor
    stopped: str | None = None

    @property
    def every(self) -> Tensor:
        """The latent of each pass, in order, as one batch."""
        return torch.cat([one.run.samples for one in self.passes]) if self.passes else self.final

    @property
    def work(self) -> Work:
        """What all passes took together."""
        return sum((one.run.work for one in self.passes), Work())


@dataclass(frozen=True, eq=False, repr=False)
class Refinement:
    """Everything a refinement needs, checked.

    guidances: of each pass: its own prompts and cfg
    vae:       shows the pictures, for drift and the node's body; without it there is no drift
    """

    model: ModelPatcher
    guidances: Sequence[Guidance]
    sampler: Sampler
    opened: OpenLatent
    plan: RefinePlan
    vae: VAE | None

    @cached_property
    def first(self) -> Tensor | None:
        """The picture before any pass, as the VAE shows it."""
        return self._decode(self.opened.samples)

    def run(self) -> Refined:
        """Each pass noises what the one before left; one progress bar over all."""
        passes, limit = self.plan.passes, self.plan.max_drift
        progress = Progress(self.model, sum(one.plan.steps for one in passes))
        done, samples = [], self.opened.samples
        for index, settled in enumerate(passes):
            run = self._run_pass(index, samples, progress)
            picture = self._decode(run.samples)
            drift = None if picture is None or self.first is None else mean(delta_e(picture, self.first))
            if drift is not None and 0 < limit < drift:
                reason = f"pass {index + 1} would move the colors by {drift:.2f} Delta E, more than {limit:g}"
                return Refined(done, samples, reason)
            done.append(PassRun(settled, run, picture, drift))
            samples = run.samples
        return Refined(done, samples)

    def _run_pass(self, index: int, samples: Tensor, progress: Progress) -> Sampled:
        settled, guidance = self.plan.passes[index], self.guidances[index]
        area = run_mask(self.opened.mask, samples.shape)
        keys = self.opened.keys(settled.seed)
        start = Start(samples, draw_noise(samples, settled.seed, self.opened.items), keys)
        run = sample(guidance, self.sampler, settled.plan.sigmas, start, area, progress)
        if self.plan.match_colors == "off" or run.work.calls == 0:
            return run
        return with_colors_of(self.opened, area, run)

    def _decode(self, samples: Tensor) -> Tensor | None:
        return None if self.vae is None else decode(self.vae, {"samples": samples})

    def facts(self) -> dict[str, Any]:
        """What decides the result besides the passes themselves."""
        mask = self.opened.mask
        prompts = [(one.positive, one.negative) for one in self.guidances]
        return {
            "input": digest(self.opened.samples),
            "mask": None if mask is None else digest(mask),
            "model": model_fingerprint(self.model),
            **self._low_model(),
            "prompts": [[conditioning_digest(part) for part in pair] for pair in prompts],
            "sampler": self.sampler.label,
            "device": str(self.model.load_device),
            **versions(),
        }

    def _low_model(self) -> dict[str, Any]:
        """Which second MODEL ends the passes, and where; nothing where there is none."""
        low = self.guidances[0].low if self.guidances else None
        return {} if low is None else {"low_model": [model_fingerprint(low.model), low.below]}

    def shown(self, refined: Refined) -> tuple[list[Tensor], list[Tensor], list[str]]:
        """The first picture [H, W, 3], in a list, that of each pass, and the names of the passes.

        Without a VAE they are ComfyUI's rough previews; without these, there are none.
        """
        rough = Thumbnails(self.model)
        latents = [self.opened.samples, *(one.run.samples for one in refined.passes)]
        decoded = [self.first, *(one.picture for one in refined.passes)]
        pairs = zip(latents, decoded, strict=True)
        pictures = [rough(latent[:1]) if seen is None else seen[0] for latent, seen in pairs]
        known = [picture for picture in pictures if picture is not None]
        names = [f"pass {place}: {one.settled.plan.settings.strength:g}" for place, one in enumerate(refined.passes, 1)]
        return known[:1], known[1:], names
