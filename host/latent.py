"""LATENT dictionaries: opening them with everything checked, and the states of a model they stand for."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import comfy.latent_formats
import comfy.model_management
import comfy.model_sampling
import comfy.sample
import torch
from comfy.model_patcher import ModelPatcher
from comfy_api.latest import io
from torch import Tensor

from ..core.noise import ItemKey, NoisedRecord, digest
from ..core.placing import WITHOUT_FLOAT64, sent
from .model import check_grid
from .schedule import model_sampling

RECORD_KEY = "img2img_record"
RATIO_KEYS = ("downscale_ratio_spacial", "downscale_ratio_temporal")
"""What newer hosts note with an empty latent: how many pixels and frames a cell of it stands for."""

Latent = io.Latent.Type
"""ComfyUI's LATENT: a dictionary with ``samples`` [B, C, ...] and, where it has them, a mask and more."""


@dataclass(frozen=True, eq=False, repr=False)
class OpenLatent:
    """A LATENT with everything checked.

    samples: [B, C, ...] float32, in ComfyUI's latent space, where ComfyUI keeps latents
    mask:    the input mask, else the latent's own noise mask, else None; any resolution
    items:   the batch_index of each picture, or None where the latent has none
    record:  what SDEditNoise or an unfinished run left with it, valid or not; None where it met neither
    intact:  the record was written for exactly these samples
    """

    samples: Tensor
    mask: Tensor | None
    items: list[int] | None
    record: NoisedRecord | None
    intact: bool

    def keys(self, seed: int) -> list[ItemKey]:
        """(seed, item) for every picture."""
        items = self.items if self.items is not None else range(len(self.samples))
        return [(seed, item) for item in items]


def open_latent(model: ModelPatcher, latent: Latent, mask: Tensor | None = None) -> OpenLatent:
    """Check a LATENT against a model and bring it to float32; the input is left as it is.

    raises: ValueError where the latent is empty, not finite, nested, or of another model's shape
    """
    samples = latent["samples"]
    if getattr(samples, "is_nested", False):
        raise ValueError(
            "latent: joint audio and video latents are not supported; split them and sample the picture part"
        )
    if samples.shape[0] == 0:
        raise ValueError("latent: it holds no pictures (batch 0); connect a latent with at least one")
    if 0 in samples.shape or samples.ndim < 3:
        raise ValueError(
            f"latent: its shape {list(samples.shape)} holds no picture; connect one from VAE Encode or an empty latent"
        )
    if not bool(torch.isfinite(samples).all()):
        raise ValueError("latent: it holds values that are not finite (inf or NaN); look at the node that made it")
    record = latent.get(RECORD_KEY)
    intact = record is not None and record.digest == digest(samples)
    samples = _shaped_for(model, stored(samples.float()), latent)
    items = latent.get("batch_index")
    if items is not None and len(items) != samples.shape[0]:
        raise ValueError(
            f"latent: batch_index names {len(items)} pictures, but there are {samples.shape[0]}; "
            f"rebuild the batch with ComfyUI's own batch nodes"
        )
    mask = latent.get("noise_mask") if mask is None else mask
    return OpenLatent(samples, mask, None if items is None else list(items), record, intact)


def open_clean_latent(model: ModelPatcher, latent: Latent, mask: Tensor | None = None) -> OpenLatent:
    """As ``open_latent``, for nodes that add the noise themselves: a latent that is already noised is refused."""
    opened = open_latent(model, latent, mask)
    if opened.record is not None:
        raise ValueError(
            f"latent: it is already noised (to sigma {opened.record.sigma:.4g}), and this node adds noise itself; "
            f"connect the clean latent, from VAE Encode or a finished sampler"
        )
    return opened


def close_latent(latent: Latent, samples: Tensor, record: NoisedRecord | None = None, **other: Any) -> Latent:
    """A new LATENT: the old one's other entries, the new samples, and the record where there is one."""
    out: Any = {key: value for key, value in latent.items() if key not in (RECORD_KEY, *RATIO_KEYS)}
    out["samples"] = samples
    if record is not None:
        out[RECORD_KEY] = record
    return out | other


def _shaped_for(model: ModelPatcher, samples: Tensor, latent: Latent) -> Tensor:
    """Samples of the model's own shape; an empty latent is brought to it, as in ComfyUI."""
    latent_format: Any = model.get_model_object("latent_format")
    fix = comfy.sample.fix_empty_latent_channels
    ratios = {key: latent.get(key) for key in RATIO_KEYS if key in inspect.signature(fix).parameters}
    samples = fix(model, samples, **ratios)
    dimensions = latent_format.latent_dimensions
    if samples.ndim != dimensions + 2:
        raise ValueError(
            f"latent: its shape {list(samples.shape)} has {samples.ndim} dimensions, but this model works on "
            f"{dimensions + 2}; encode the picture with the VAE that belongs to the model"
        )
    if isinstance(latent_format, comfy.latent_formats.HunyuanImage21Refiner) and bool(samples.any()):
        raise ValueError(
            "latent: HunyuanImage's refiner starts from pure noise and sees the picture in its prompt, so there is no "
            "strength; connect the empty latent of Hunyuan Latent Refiner to Guided Sampler, with a strength of 1"
        )
    if samples.shape[1] != latent_format.latent_channels:
        raise ValueError(
            f"latent: it has {samples.shape[1]} channels, but this model works on {latent_format.latent_channels}; "
            f"encode the picture with the VAE that belongs to the model"
        )
    check_grid(model, samples)
    return samples


def latent_space(model: ModelPatcher) -> str:
    """The name of the space that a MODEL works in: states of models with the same name can be handed over."""
    kind = "flow" if isinstance(model_sampling(model), comfy.model_sampling.CONST) else "diffusion"
    return f"{kind}, {type(model.get_model_object('latent_format')).__name__}"


def to_model_space(model: ModelPatcher, samples: Tensor) -> Tensor:
    """ComfyUI's latent space -> the space the model works in (an empty latent stays empty, as in ComfyUI)."""
    into: Any = model.get_model_object("process_latent_in")
    return into(samples) if bool(samples.any()) else samples


def from_model_space(model: ModelPatcher, state: Tensor) -> Tensor:
    """The space the model works in -> ComfyUI's latent space."""
    out_of: Any = model.get_model_object("process_latent_out")
    return out_of(state)


def noised_samples(model: ModelPatcher, clean: Tensor, noise: Tensor, sigma: float) -> Tensor:
    """A clean latent lifted to a noise level, in the convention that stock samplers continue from.

    The state ``noise_scaling(sigma, noise, clean)`` leaves the model's space; flow states are divided by (1 - sigma),
    because stock samplers multiply by it again. At a flow sigma of 1, where that is impossible, they are left whole.

    clean, noise: [B, C, ...], noise of unit variance
    """
    sampling = model_sampling(model)
    level = torch.tensor(sigma)
    state = sampling.noise_scaling(level, noise.to(clean), to_model_space(model, clean), _at_top(sampling, sigma))
    return samples_of(model, state, sigma)


def samples_of(model: ModelPatcher, state: Tensor, sigma: float) -> Tensor:
    """A state at a noise level as the samples of a LATENT, in the convention of ``noised_samples``."""
    sampling = model_sampling(model)
    if not isinstance(sampling, comfy.model_sampling.CONST) or sigma < 1.0:
        state = sampling.inverse_noise_scaling(torch.tensor(sigma), state)
    return from_model_space(model, state)


def state_of(model: ModelPatcher, samples: Tensor, sigma: float) -> Tensor:
    """The other way round: what ``noised_samples`` or an unfinished stock run wrote, as a state of the model."""
    state = to_model_space(model, samples)
    flow = isinstance(model_sampling(model), comfy.model_sampling.CONST)
    return state * (1.0 - sigma) if flow and sigma < 1.0 else state


def seen_samples(model: ModelPatcher, state: Tensor, sigma: float) -> Tensor:
    """A state as a LATENT to look at, in ComfyUI's latent space: as strong as the model itself sees it.

    x0 + sigma eps of models that let variance explode becomes sqrt(alpha-bar) x0 + sqrt(1 - alpha-bar) eps (c_in of
    Karras et al. 2022, arXiv:2206.00364); states of flow models are so already.
    """
    divisor = input_divisor(model)
    return from_model_space(model, state / (divisor(sigma) / divisor(0.0)))


def noise_of(model: ModelPatcher, state: Tensor, sigma: float, clean: Tensor | None = None) -> Tensor:
    """The noise that stock samplers, given a clean latent, scale to exactly this state (up to rounding).

    clean: [B, C, ...] in ComfyUI's latent space; None for an empty one
    """
    sampling = model_sampling(model)
    level, at_top = torch.tensor(sigma), _at_top(sampling, sigma)
    unit = sampling.noise_scaling(level, torch.ones(1), torch.zeros(1), at_top)
    if clean is not None:
        given = to_model_space(model, clean)
        state = state - sampling.noise_scaling(level, torch.zeros_like(given), given, at_top).to(state)
    return state / unit.to(state)


def input_divisor(model: ModelPatcher) -> Callable[[float], float]:
    """1 / c_in of Karras et al. 2022 (arXiv:2206.00364): what this model divides its input by at a sigma."""
    sampling = model_sampling(model)
    return lambda sigma: (
        1.0 / float(sampling.calculate_input(torch.tensor([sigma], dtype=torch.float64), torch.ones(1)))
    )


def _at_top(sampling: Any, sigma: float) -> bool:
    """Whether stock samplers take a run from this sigma for one from pure noise (``Sampler.max_denoise``)."""
    largest = float(sampling.sigma_max)
    return math.isclose(largest, sigma, rel_tol=1e-05) or sigma > largest


def stored(value: Any) -> Any:
    """A tensor, or a tuple of them of one shape, moved to where ComfyUI keeps results, if that has float64 for it."""
    several = value if isinstance(value, tuple) else (value,)
    device: Any = comfy.model_management.intermediate_device()
    first = several[0] if several else None
    if not isinstance(first, Tensor) or (first.dtype == torch.float64 and device.type in WITHOUT_FLOAT64):
        return value
    return sent(several, device) if isinstance(value, tuple) else value.to(device)
