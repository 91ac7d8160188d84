"""Guidance: a MODEL under its prompts, as ComfyUI asks it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import comfy.model_management
import comfy.samplers
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..core.conditioning import Conditioning, prompt_of_pictures
from ..core.kept import Kept
from ..core.schedule import split_sigmas
from .conditioning import check_frames, control_of_pictures, on_device, resolve_prompts, with_own_mask
from .latent import latent_space
from .model import is_guidance_distilled
from .schedule import model_sampling, noise_schedule

RANGE = {"timestep_start", "timestep_end"}
KEPT_PROMPTS = 8  # sets of entries that act together
Prompts = dict[str, list[dict[str, Any]]]
"""Prompts as ComfyUI makes them ready for a run, by name."""


@dataclass(frozen=True, eq=False, repr=False)
class LowModel:
    """A MODEL that takes a run over where its steps start below a sigma, such as the low-noise half of Wan 2.2."""

    model: ModelPatcher
    below: float


@dataclass(frozen=True, eq=False, repr=False)
class Guidance:
    """What a run is guided by: a MODEL, what the picture should and should not show, and how strictly.

    cfg: 1 runs no unconditional pass
    low: a second MODEL for the end of the run
    run: the sigmas of the whole run, where this one is a part of it: prompts are scheduled by these
    """

    model: ModelPatcher
    positive: Conditioning
    negative: Conditioning
    cfg: float
    low: LowModel | None = field(default=None, kw_only=True)
    run: Tensor | None = field(default=None, kw_only=True)

    def with_low(self, model: ModelPatcher | None, share: float) -> Guidance:
        """The same with a second MODEL for the steps that start below a share of noise (0..1); None: without one.

        raises: ValueError where it could not take over what the first one leaves
        """
        if model is None:
            return self
        spaces = latent_space(self.model), latent_space(model)
        if spaces[0] != spaces[1]:
            raise ValueError(
                f"low_model: it works on other latents ({spaces[1]}) than model ({spaces[0]}), so it cannot take over; "
                f"connect the low-noise half of the same model"
            )
        return replace(self, low=LowModel(model, noise_schedule(self.model).sigma_of_share(share)))

    def parts(self, sigmas: Tensor) -> list[tuple[Guidance, Tensor]]:
        """The guidance of each part of a run with the sigmas of that part, one after the other; without empty ones."""
        if self.low is None:
            return [(self, sigmas)]
        alone = replace(self, low=None, run=sigmas)
        parts = zip([alone, replace(alone, model=self.low.model)], split_sigmas(sigmas, self.low.below), strict=True)
        return [(one, part) for one, part in parts if len(part) > 1]

    def facts_of_parts(self, sigmas: Tensor) -> dict[str, Any]:
        """For a report: where a second MODEL takes over, and how many steps it takes; nothing where there is none."""
        if self.low is None:
            return {}
        steps = sum(len(part) - 1 for one, part in self.parts(sigmas) if one.model is self.low.model)
        return {"low_model_below": self.low.below, "low_model_steps": steps}

    @property
    def twice(self) -> bool:
        """Whether cfg guides a model that has its guidance built in."""
        return self.cfg > 1 and is_guidance_distilled(self.model)

    def guider(self, sigmas: Tensor) -> CountingGuider:
        """A guider whose scheduled prompts act by shares of the run over these sigmas."""
        return CountingGuider(self, sigmas)

    def scheduled(self, prompt: Conditioning, sigmas: Tensor) -> Conditioning:
        """A prompt as it acts in a run over these sigmas, or in this part of one."""
        percent_to_sigma = model_sampling(self.model).percent_to_sigma
        return resolve_prompts(prompt, sigmas if self.run is None else self.run, percent_to_sigma)

    def for_pictures(self, rows: Sequence[int], pictures: int) -> Guidance:
        """The guidance of some pictures of a batch, in a batch of their own; see ``core.conditioning``."""
        hints = Kept[Any](8)  # prompt and negative go on sharing one ControlNet

        def own(conditioning: Conditioning) -> Conditioning:
            prompt = prompt_of_pictures(conditioning, rows, pictures)
            for _, options in prompt:
                control = options.get("control")
                if control is not None:
                    options["control"] = hints.get((control,), lambda one=control: control_of_pictures(one, rows))
            return prompt

        return replace(self, positive=own(self.positive), negative=own(self.negative))


class CountingGuider(comfy.samplers.CFGGuider):
    """ComfyUI's guider, which also counts its calls and can be interrupted at each of them."""

    def __init__(self, guidance: Guidance, sigmas: Tensor) -> None:
        super().__init__(guidance.model)
        self.set_conds(*(guidance.scheduled(prompt, sigmas) for prompt in (guidance.positive, guidance.negative)))
        self.set_cfg(guidance.cfg)
        self.calls = 0
        self.sigma: float | None = None
        self.acting = Kept[Prompts](KEPT_PROMPTS)

    def bring_prompts(self, device: torch.device) -> None:
        """Send the prompts of a run that has begun to a device, once."""
        self.conds = {name: [on_device(entry, device) for entry in prompt] for name, prompt in self.conds.items()}

    def sample(self, noise: Tensor, *arguments: Any, **more: Any) -> Tensor:
        """One run from this noise; ValueError where a prompt carries a clip of another length."""
        for name, prompt in self.original_conds.items():
            check_frames(name, prompt, noise)
            self.original_conds[name] = [with_own_mask(entry, self.model_patcher.model, noise) for entry in prompt]
        return super().sample(noise, *arguments, **more)

    def predict_noise(
        self, x: Tensor, timestep: Tensor, model_options: dict[str, Any] | None = None, seed: int | None = None
    ) -> Tensor:
        """Called by the sampler; one guided answer, prompt and negative together, counts as one call."""
        self.calls += 1
        comfy.model_management.throw_exception_if_processing_interrupted()
        prompts = self.conds
        try:
            self.conds = self._acting(timestep)
            return super().predict_noise(x, timestep, model_options or {}, seed)
        finally:
            self.conds = prompts

    def level(self, timestep: Tensor) -> Tensor:
        """The sigma of a call, on the CPU; it waits for the device where nobody has said it (``sigma``)."""
        return timestep[:1].cpu() if self.sigma is None else torch.tensor([self.sigma], dtype=timestep.dtype)

    def _acting(self, timestep: Tensor) -> Prompts:
        """The entries of the prompts that act at a sigma, without their ranges.

        ComfyUI compares both ends of every range on the device, and the CPU waits for each; here it waits once.
        """
        ranges = [entry for prompt in self.conds.values() for entry in prompt if RANGE & entry.keys()]
        if not ranges:
            return self.conds
        level = self.level(timestep)
        acts = {id(entry): _acts(entry, level) for entry in ranges}

        def chosen() -> Prompts:
            return {
                name: [_without_range(entry) for entry in prompt if acts.get(id(entry), True)]
                for name, prompt in self.conds.items()
            }

        return self.acting.get((str(list(acts.values())), self.conds), chosen)


def _acts(entry: dict[str, Any], level: Tensor) -> bool:
    """Whether an entry acts at a sigma, compared as ComfyUI does."""
    too_early = "timestep_start" in entry and bool(level[0] > entry["timestep_start"])
    return not too_early and not ("timestep_end" in entry and bool(level[0] < entry["timestep_end"]))


def _without_range(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in RANGE} if RANGE & entry.keys() else entry


@dataclass(frozen=True, eq=False, repr=False)
class NullTextGuidance(Guidance):
    """Guidance whose negative prompt changes at every step.

    embeddings: [B, tokens, width] for each sigma above 0 of the run, falling
    """

    embeddings: Sequence[Tensor] = ()

    def guider(self, sigmas: Tensor) -> CountingGuider:
        """A guider that puts each embedding in the place of the negative prompt's at its sigma."""
        return NullTextGuider(self, sigmas)


class NullTextGuider(CountingGuider):
    """A guider with an embedding of its own for each sigma, in the place of the negative prompt's."""

    def __init__(self, guidance: NullTextGuidance, sigmas: Tensor) -> None:
        super().__init__(guidance, sigmas)
        self.embeddings = dict(zip(sigmas.tolist(), guidance.embeddings, strict=False))

    def predict_noise(
        self, x: Tensor, timestep: Tensor, model_options: dict[str, Any] | None = None, seed: int | None = None
    ) -> Tensor:
        """Called by the sampler at one of the sigmas that there are embeddings for."""
        sigma = float(self.level(timestep))
        if sigma not in self.embeddings:
            raise ValueError(f"inversion: it holds no embedding for sigma {sigma:.6g}; run it over its own sigmas")
        set_negative_embedding(self, self.embeddings[sigma])
        return super().predict_noise(x, timestep, model_options, seed)


def set_negative_embedding(guider: CountingGuider, embedding: Tensor) -> None:
    """Put an embedding [B, tokens, width] in the place of the negative prompt's in a run."""
    model_conds = guider.conds["negative"][0]["model_conds"]
    model_conds["c_crossattn"] = type(model_conds["c_crossattn"])(embedding)
