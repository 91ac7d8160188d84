"""CONDITIONING: encoding prompts, and scheduled ones as the timestep ranges that ComfyUI reads."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import comfy.controlnet
import comfy.model_base
import torch
from comfy.model_base import BaseModel
from comfy.sd import CLIP
from torch import Tensor

from ..core.conditioning import Conditioning
from ..core.prompts import SWITCH_KEY, Window, windows


def encode_text(clip: CLIP, text: str) -> Conditioning:
    """A prompt as CONDITIONING, as CLIP Text Encode does."""
    return clip.encode_from_tokens_scheduled(clip.tokenize(text))


def check_prompt(name: str, conditioning: Conditioning) -> None:
    """Raise ValueError for a prompt that ComfyUI would trip over deep in a run; ``name`` is its input's."""
    way_out = "connect a prompt from CLIP Text Encode"
    if not conditioning:
        raise ValueError(f"{name}: it is empty (no prompt in it); {way_out}")
    for embedding, options in conditioning:
        if isinstance(embedding, Tensor) and (embedding.ndim < 2 or 0 in embedding.shape):
            raise ValueError(
                f"{name}: the shape of an embedding is {list(embedding.shape)}, so it says nothing; {way_out}"
            )
        area = options.get("area") or (1, 1, 0, 0)
        if len(area) - (area[0] == "percentage") not in (4, 6):  # of pictures and of video
            raise ValueError(
                f"{name}: an area in it is {tuple(area)}, but it must have height, width, top and left; make it with "
                f"Conditioning (Set Area)"
            )


def check_frames(name: str, entries: Sequence[dict[str, Any]], noise: Tensor) -> None:
    """Raise ValueError for a prompt with a clip beside the noise [B, C, T, H, W] that has not as many latent frames."""
    for entry in entries:
        beside = entry.get("concat_latent_image")
        if isinstance(beside, Tensor) and beside.ndim == noise.ndim == 5 and beside.shape[2] != noise.shape[2]:
            raise ValueError(
                f"{name}: it carries a clip of {beside.shape[2]} latent frames, but latent has {noise.shape[2]}; set "
                f"the same length in the image-to-video node and in the latent"
            )


def with_own_mask(entry: dict[str, Any], model: BaseModel, noise: Tensor) -> dict[str, Any]:
    """An entry of a prompt for HunyuanVideo 1.5, which says that it was given no frames; for other models as it is.

    Without them, ComfyUI takes the mask of the run, in all its channels, for the one that says which frames are given.

    noise: [B, C, T, H, W] of the run
    """
    if "concat_mask" in entry or not isinstance(model, comfy.model_base.HunyuanVideo15):
        return entry
    return entry | {"concat_mask": torch.ones_like(noise[:, :1])}


def on_device(entry: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """An entry of a prompt as ComfyUI makes it ready for a run, with what the model reads of it on a device.

    Left where it is, ComfyUI sends it over at every call.
    """
    conds = entry["model_conds"]
    moved = {name: one._copy_with(one.cond.to(device)) for name, one in conds.items() if isinstance(one.cond, Tensor)}
    return entry | {"model_conds": conds | moved}


def resolve_prompts(
    conditioning: Conditioning, sigmas: Tensor, percent_to_sigma: Callable[[float], float] | None
) -> Conditioning:
    """The conditioning of one run: entries behind switches become entries with sigma ranges, for stock samplers too.

    A range that an entry already has is narrowed, never overwritten, and its strength is multiplied.

    sigmas:           [steps + 1] falling
    percent_to_sigma: the model's map, for entries that have a percent range already; None where no model is known

    raises: ValueError where a percent range must be narrowed and no model is known
    """
    resolved: Conditioning = []
    for embedding, options in conditioning:
        if SWITCH_KEY not in options:
            resolved.append([embedding, options])
            continue
        plain = {key: value for key, value in options.items() if key != SWITCH_KEY}
        plain, high, low = _split_range(plain, percent_to_sigma)
        for window in windows(options[SWITCH_KEY], sigmas):
            part = window.within(high, low)
            if part is not None:
                resolved.append([embedding, plain | _range_of(part, plain.get("strength", 1.0))])
    return resolved


def _range_of(window: Window, strength: float) -> dict[str, float]:
    bounds = {"timestep_start": window.high, "timestep_end": window.low}
    changed = {} if window.weight == 1.0 else {"strength": strength * window.weight}
    return changed | {key: bound for key, bound in bounds.items() if bound is not None}


def _split_range(
    options: dict[str, Any], percent_to_sigma: Callable[[float], float] | None
) -> tuple[dict[str, Any], float | None, float | None]:
    """An entry's options without its range, and the range in sigmas, read as ComfyUI reads it."""
    start = [options[key] for key in ("start_percent", "clip_start_percent") if key in options]
    end = [options[key] for key in ("end_percent", "clip_end_percent") if key in options]
    if (start or end) and percent_to_sigma is None:
        raise ValueError(
            "model: a prompt here already has a timestep range in percent, which only the model can turn into sigmas; "
            "connect model"
        )
    keys = {"start_percent", "clip_start_percent", "end_percent", "clip_end_percent", "timestep_start", "timestep_end"}
    high, low = options.get("timestep_start"), options.get("timestep_end")
    if percent_to_sigma is not None:
        high = percent_to_sigma(max(start)) if start else high
        low = percent_to_sigma(min(end)) if end else low
    return {key: value for key, value in options.items() if key not in keys}, high, low


def with_hint(control: Any, change: Callable[[Any, Tensor], Tensor]) -> Any:
    """A copy of a ControlNet that is ready for a run, and of those chained to it, with changed hints."""
    out = copy.copy(control)
    out.cond_hint = out.extra_concat = out.control_input = None  # what it made of the old hint
    if control.cond_hint_original is not None:
        out.cond_hint_original = change(control, control.cond_hint_original)
        out.extra_concat_orig = [change(control, extra) for extra in control.extra_concat_orig]
    if control.previous_controlnet is not None:
        out.previous_controlnet = with_hint(control.previous_controlnet, change)
    return out


def control_of_pictures(control: Any, rows: Sequence[int]) -> Any:
    """A ControlNet for some pictures of a batch; one that shows the same to all of them stays as it is."""
    one, own = control, False
    while isinstance(one, comfy.controlnet.ControlBase):
        own |= one.cond_hint_original is not None and len(one.cond_hint_original) > 1
        one = one.previous_controlnet

    def pick(_: Any, hint: Tensor) -> Tensor:
        return hint[[row % len(hint) for row in rows]]

    return with_hint(control, pick) if own and one is None else control
