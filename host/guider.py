"""Guidance: a MODEL under its prompts, as ComfyUI asks it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import comfy.model_management
import comfy.samplers
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..core.conditioning import Conditioning
from .conditioning import resolve_prompts
from .schedule import model_sampling


@dataclass(frozen=True, eq=False, repr=False)
class Guidance:
    """What a run is guided by: a MODEL, what the picture should and should not show, and how strictly.

    cfg: 1 runs no unconditional pass
    """

    model: ModelPatcher
    positive: Conditioning
    negative: Conditioning
    cfg: float

    def guider(self, sigmas: Tensor) -> CountingGuider:
        """A guider whose scheduled prompts act by shares of the run over these sigmas."""
        return CountingGuider(self, sigmas)


class CountingGuider(comfy.samplers.CFGGuider):
    """ComfyUI's guider, which also counts its calls and can be interrupted at each of them."""

    def __init__(self, guidance: Guidance, sigmas: Tensor) -> None:
        super().__init__(guidance.model)
        percent_to_sigma = model_sampling(guidance.model).percent_to_sigma
        prompts = (guidance.positive, guidance.negative)
        self.set_conds(*(resolve_prompts(prompt, sigmas, percent_to_sigma) for prompt in prompts))
        self.set_cfg(guidance.cfg)
        self.calls = 0

    def predict_noise(
        self, x: Tensor, timestep: Tensor, model_options: dict[str, Any] | None = None, seed: int | None = None
    ) -> Tensor:
        """Called by the sampler; one guided answer, prompt and negative together, counts as one call."""
        self.calls += 1
        comfy.model_management.throw_exception_if_processing_interrupted()
        return super().predict_noise(x, timestep, model_options or {}, seed)


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
        sigma = float(timestep[0])
        if sigma not in self.embeddings:
            raise ValueError(f"inversion: it holds no embedding for sigma {sigma:.6g}; run it over its own sigmas")
        set_negative_embedding(self, self.embeddings[sigma])
        return super().predict_noise(x, timestep, model_options, seed)


def set_negative_embedding(guider: CountingGuider, embedding: Tensor) -> None:
    """Put an embedding [B, tokens, width] in the place of the negative prompt's in a run."""
    model_conds = guider.conds["negative"][0]["model_conds"]
    model_conds["c_crossattn"] = type(model_conds["c_crossattn"])(embedding)
