"""Questions about a MODEL: what it is, whether it is the same as another one, and how much of it fits into memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import comfy.ldm.cascade.stage_b
import comfy.ldm.cosmos.model
import comfy.ldm.cosmos.predict2
import comfy.ldm.genmo.joint_model.asymm_models_joint
import comfy.ldm.hunyuan_video.model
import comfy.ldm.pixart.pixartms
import comfy.ldm.wan.model
import comfy.model_base
import comfy.model_management
import comfy.model_sampling
import comfy.supported_models
import comfyui_version
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..core.conditioning import plain_text, text_digest
from ..core.noise import digest
from ..core.report import VERSION
from .schedule import model_sampling

FINGERPRINT_WEIGHTS, FINGERPRINT_VALUES = 32, 16


def versions() -> dict[str, str]:
    """What a result depends on besides its inputs: the versions of the pack, ComfyUI and torch."""
    return {"img2img_studio": VERSION, "comfyui": comfyui_version.__version__, "torch": str(torch.__version__)}


CELL_PIXELS = {
    "ChromaRadiance": 1,
    "SC_B": 4,
    "SD_X4": 4,
    "Flux2": 16,
    "Wan22": 16,
    "HunyuanVideo15": 16,
    "HunyuanImage21Refiner": 16,
    "HunyuanImage21": 32,
    "LTXV": 32,
    "SC_Prior": 42,
}
"""Latent formats whose cells are not 8 pixels wide; only newer versions of ComfyUI say it, and not of all."""


def cell_pixels(model: ModelPatcher) -> int:
    """How many pixels a cell of a model's latent stands for, along each side."""
    form = model.model.latent_format
    return CELL_PIXELS.get(type(form).__name__) or int(getattr(form, "spacial_downscale_ratio", 8))


def is_guidance_distilled(model: ModelPatcher) -> bool:
    """Whether a MODEL has its guidance built in and wants cfg 1: Flux dev and its kin, and Flux schnell.

    Only the architecture is asked. Turbo, Lightning and LCM models have the same weights layout as their parents and
    cannot be told apart, and neither can a model that was trained to take cfg again.
    """
    config = getattr(model.model, "model_config", None)
    return takes_guidance(model) or isinstance(config, comfy.supported_models.FluxSchnell)


def takes_guidance(model: ModelPatcher) -> bool:
    """Whether a MODEL is told a strength of its built-in guidance, as Flux dev is."""
    config = getattr(model.model, "model_config", None)
    return bool(getattr(config, "unet_config", {}).get("guidance_embed", False))


def makes_sound(model: ModelPatcher) -> bool:
    """Whether a MODEL makes sound, whose latents have no colors and show no picture."""
    return isinstance(model.model, (comfy.model_base.StableAudio1, comfy.model_base.ACEStep))


def picture_rows(model: ModelPatcher, samples: Tensor) -> list[list[int]]:
    """Which rows of a batch [B, C, ...] make each of its pictures; SVD and its kin take a whole batch for one clip."""
    rows = range(len(samples))
    if isinstance(model.model, comfy.model_base.SVD_img2vid):
        return [list(rows)]
    return [[row] for row in rows]


UNPADDED = (
    comfy.ldm.cascade.stage_b.StageB,
    comfy.ldm.cosmos.model.GeneralDIT,
    comfy.ldm.cosmos.predict2.MiniTrainDIT,
    comfy.ldm.genmo.joint_model.asymm_models_joint.AsymmDiTJoint,
    comfy.ldm.hunyuan_video.model.HunyuanVideo,
    comfy.ldm.pixart.pixartms.PixArtMS,
    comfy.ldm.wan.model.VaceWanModel,
)
"""Networks that work on patches of several cells and leave it to us that the sides are whole multiples of them."""


def patch_size(model: ModelPatcher) -> int:
    """Cells of the latent, along each side, that a network takes as one; 1 where it takes every cell for itself."""
    network = model.model.diffusion_model
    usual = 2 if isinstance(network, UNPADDED) else 1
    size = getattr(network, "patch_size", None) or getattr(network, "patch_spatial", None) or usual
    return int(size[-1] if isinstance(size, (tuple, list)) else size)


SMALLEST_PIXART = 33
"""Cells: PixArt divides by its mean side in blocks of 64, and below this many they round to none."""


def check_grid(model: ModelPatcher, samples: Tensor) -> None:
    """Raise ValueError for a latent [B, C, ..., H, W] whose sides the network could not cut into its patches."""
    patch, (height, width) = patch_size(model), samples.shape[-2:]
    pixart = isinstance(model.model.diffusion_model, comfy.ldm.pixart.pixartms.PixArtMS)
    if pixart and (height + width) // 2 < SMALLEST_PIXART:
        raise ValueError(
            f"latent: it is {width} x {height} cells, but PixArt needs sides of {SMALLEST_PIXART} cells "
            f"({8 * SMALLEST_PIXART} pixels) on average; make the picture larger, with Fit Image or an upscaler"
        )
    if isinstance(model.model.diffusion_model, UNPADDED) and (height % patch or width % patch):
        raise ValueError(
            f"latent: it is {width} x {height} cells, but this model works on patches of {patch} x {patch}; bring the "
            f"picture to sides that are whole multiples of {8 * patch} pixels with Fit Image, or set fit to pad"
        )


def model_fingerprint(model: ModelPatcher) -> str:
    """A short fingerprint of a MODEL: its class and family, a few values of its weights, and the patches on it.

    Weights that ComfyUI has patched in place are read from its backup, so that loading changes nothing.
    """
    weights = dict(model.model.diffusion_model.named_parameters())
    names = sorted(weights)
    parts = [type(model.model).__name__, *_families(model_sampling(model))]
    for name in names[:: max(1, len(names) // FINGERPRINT_WEIGHTS)]:
        kept = model.backup.get(f"diffusion_model.{name}")
        parts.append(f"{name}{_few_values(weights[name] if kept is None else kept.weight)}")
    for key, patches in sorted(model.patches.items(), key=lambda item: str(item[0])):
        parts.append(f"{key}{[(patch[0], patch[2], _patch_text(patch[1])) for patch in patches]}")
    return text_digest("|".join(parts))


def _families(sampling: Any) -> list[str]:
    """The kinds of noise levels and of prediction that ComfyUI put together for a model."""
    known = [kind for kind in type(sampling).__mro__ if kind.__module__ == comfy.model_sampling.__name__]
    return [kind.__name__ for kind in known]


def _few_values(weight: Tensor) -> str:
    return digest(weight.detach().flatten()[:FINGERPRINT_VALUES].float())


def _patch_text(patch: Any) -> str:
    """A patch on a weight, a LoRA's factors or a plain difference, by a few values of its tensors."""
    if isinstance(patch, Tensor):
        return _few_values(patch)
    if isinstance(patch, (tuple, list)):
        return f"({','.join(map(_patch_text, patch))})"
    if hasattr(patch, "weights"):  # ComfyUI's weight adapters: LoRA, LoHa, LoKr...
        return f"{type(patch).__name__}{_patch_text(patch.weights)}"
    return plain_text(patch)


FILLS_CPU = 64 * 64
"""Cells of a latent from which on a CPU computes several one by one as fast as together: benchmarks/variations.py."""


def fills_device(model: ModelPatcher, shape: Sequence[int]) -> bool:
    """Whether one latent of a shape [C, ...] keeps a MODEL's device so busy that more of them together save no time.

    Known of a CPU alone; on a graphics card it depends on the card, and a model that does not fit there is sent to it
    for every call.
    """
    return model.load_device.type == "cpu" and math.prod(shape[1:]) >= FILLS_CPU


def fitting_batch(model: ModelPatcher, shape: Sequence[int], count: int, each: int = 1) -> int:
    """How many of ``count`` latents of a shape [C, ...] fit into free memory together, at least one.

    each: how many latents one of them stands for
    """
    unloaded = max(0, model.model_size() - model.loaded_size())
    free: Any = comfy.model_management.get_free_memory(model.load_device)
    # Prompt and negative run as one batch of twice the size; the margin is the host's own.
    needed = ((n, model.model.memory_required([2 * n * each, *shape]) * 1.5) for n in range(count, 1, -1))
    fitting = (n for n, memory in needed if memory < free - unloaded)
    return next(fitting, 1)
