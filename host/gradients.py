"""Gradients through a guided model, to the embedding of its negative prompt."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import comfy.model_management
import comfy.samplers
import torch
from torch import Tensor

from ..core.null_text import bytes_for_backward, differentiable
from .guider import CountingGuider, Guidance, set_negative_embedding
from .solver import Solver, run_solver

PLACED = {
    "control": "a ControlNet",
    "gligen": "GLIGEN boxes",
    "hooks": "a LoRA hook",
    "area": "an area",
    "mask": "a mask",
    "timestep_start": "a time range",
    "timestep_end": "a time range",
}
"""What a prompt can carry that leaves no single embedding to optimize."""

NO_GRADIENTS = {
    "inplace operation": "overwrites what gradients need",
    "no autograd formula": "gradients cannot pass",  # newer ones, whose own kernels are made for sampling alone
}
"""What PyTorch says of a network that cannot be optimized through, and what that means."""


class GuidedParts:
    """A guided model taken apart: core's GuidedModel.

    calls:  how often it was asked, whole or in parts
    memory: bytes that gradients need: the copies of the weights, and what is held for a backward pass
    """

    PARTS = ("conditional", "unconditional", "guided")

    def __init__(self, guider: CountingGuider, extra_args: dict[str, Any]) -> None:
        self.guider = guider
        self.extra_args = extra_args
        self.calls: dict[str, int] = dict.fromkeys(self.PARTS, 0)
        self.memory = {"weights": 0, "gradients": 0}

    def conditional(self, x: Tensor, sigma: float) -> Tensor:
        """The answer to the positive prompt."""
        with torch.no_grad():
            return self._ask("conditional", x, sigma)

    def unconditional(self, x: Tensor, sigma: float, embedding: Tensor) -> Tensor:
        """The answer to an embedding in the place of the negative prompt's; differentiable in it."""
        set_negative_embedding(self.guider, embedding)
        return self._ask("unconditional", x, sigma)

    def combine(self, x: Tensor, sigma: float, conditional: Tensor, unconditional: Tensor) -> Tensor:
        """Both under guidance, with what other nodes have added to that."""
        guider, options = self.guider, self.extra_args["model_options"]
        prompts = {"cond": guider.conds["positive"], "uncond": guider.conds["negative"]}
        levels = x.new_full((len(x),), sigma)
        return comfy.samplers.cfg_function(
            guider.inner_model, conditional, unconditional, guider.cfg, x, levels, options, **prompts
        )

    def denoise(self, x: Tensor, sigma: float, embedding: Tensor) -> Tensor:
        """All of it in one call, as at every other run."""
        set_negative_embedding(self.guider, embedding)
        self.calls["guided"] += 1
        with torch.no_grad():
            return self.guider(x, x.new_full((len(x),), sigma), **self.extra_args)

    def _ask(self, part: str, x: Tensor, sigma: float) -> Tensor:
        comfy.model_management.throw_exception_if_processing_interrupted()
        self.calls[part] += 1
        conds = self.guider.conds
        halves = [conds["positive"], None] if part == "conditional" else [None, conds["negative"]]
        answers = comfy.samplers.calc_cond_batch(
            self.guider.inner_model, halves, x, x.new_full((len(x),), sigma), self.extra_args["model_options"]
        )
        return answers[part == "unconditional"]


class GradientSampler(Solver):
    """Runs a function of core on a model in parts, with gradients to the embedding of the negative prompt.

    function: (parts, the embedding to start from, clean picture in the model's space) -> anything
    """

    def __init__(self, function: Callable[[GuidedParts, Tensor, Tensor], Any]) -> None:
        self.function = function

    def solve(self, guider: Any, sigmas: Tensor, extra_args: dict[str, Any], clean: Tensor) -> Any:
        """Once the model is loaded."""
        with torch.inference_mode(False):
            parts = GuidedParts(guider, extra_args)
            network, clean = guider.inner_model.diffusion_model, clean.float().clone()
            embedding = _negative_embedding(guider).to(clean).clone()
            with differentiable(network, lambda size: _claim(parts, "weights", size, clean)):
                level = float(sigmas[0])
                tried = embedding.clone().requires_grad_()
                weights = itertools.chain(network.parameters(), network.buffers())
                size = bytes_for_backward(lambda: parts.unconditional(clean, level, tried), weights)
                _claim(parts, "gradients", size, clean)
                return parts, self.function(parts, embedding, clean)


@dataclass(frozen=True, eq=False, repr=False)
class SolvedWithGradients:
    """What a function of core found, the model in parts that it asked, and the seconds it took."""

    result: Any
    parts: GuidedParts
    seconds: float


def solve_with_gradients(
    guidance: Guidance, sigmas: Tensor, clean: Tensor, function: Callable[[GuidedParts, Tensor, Tensor], Any]
) -> SolvedWithGradients:
    """Run a function of core on a guided model in parts.

    sigmas:   [steps + 1] falling
    clean:    [1, C, ...] in ComfyUI's latent space
    function: (parts, the embedding to start from, clean picture in the model's space) -> anything

    raises: ValueError where the model or the prompts do not allow gradients, or memory is short
    """
    began, guider = time.perf_counter(), guidance.guider(sigmas)
    try:
        parts, result = run_solver(guider, GradientSampler(function), sigmas, clean)
    except RuntimeError as error:
        why = next((words for found, words in NO_GRADIENTS.items() if found in str(error)), None)
        if why is None:
            raise
        raise ValueError(
            f"model: ComfyUI runs {type(guidance.model.model).__name__} in a way that {why}; "
            f"use the method exact or pinned of Invert to Noise: they give the picture back at any cfg, no gradients"
        ) from error
    finally:
        comfy.model_management.soft_empty_cache()
    return SolvedWithGradients(result, parts, time.perf_counter() - began)


def _negative_embedding(guider: CountingGuider) -> Tensor:
    """The embedding of a run's negative prompt, [B, tokens, width].

    raises: ValueError where it has more than one, or something beside it
    """
    negatives = guider.conds["negative"]
    found = next((word for key, word in PLACED.items() for one in negatives if one.get(key) is not None), None)
    if found or len(negatives) != 1 or any(one.get("hooks") for one in guider.conds["positive"]):
        raise ValueError(
            f"positive and negative: with {found or 'several prompts in one'}, there is no single embedding to "
            f"optimize; connect plain prompts, or use the method exact or pinned of Invert to Noise"
        )
    embedding = negatives[0]["model_conds"].get("c_crossattn")
    if embedding is None:
        raise ValueError("model: it takes no prompt by cross-attention, so there is nothing to optimize")
    return embedding.cond


def _claim(parts: GuidedParts, purpose: str, size: int, clean: Tensor) -> None:
    """Note and log how many bytes are needed for a purpose; ValueError where fewer are free."""
    parts.memory[purpose] = size
    needed = size + int(parts.guider.inner_model.memory_required([2, *clean.shape[1:]]))
    free: Any = comfy.model_management.get_free_memory(clean.device)
    text = f"{needed / 1e9:.2f} GB for {purpose}, {free / 1e9:.2f} GB are free"
    logging.info("Null-text optimization needs %s", text)
    if needed > free:
        raise ValueError(
            f"latent: null-text optimization needs {text} on {clean.device}; use a smaller picture, or the method "
            f"exact or pinned of Invert to Noise: they give the picture back at any cfg, no gradients"
        )
