"""Tiles: a MODEL that is asked about parts of a large latent, through the seam of ComfyUI's context windows.

ComfyUI asks a ``context_handler`` in a model's options below the cfg function. So every guider can be tiled, and nodes
that work on whole predictions (RescaleCFG, perturbed attention...) go on seeing whole ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import comfy.conds
import comfy.context_windows
import comfy.controlnet
import comfy.model_management
import comfy.patcher_extension
import comfy.utils
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..core.conditioning import Conditioning
from ..core.kept import Kept
from ..core.tiles import Offsets, TileGrid, blend_tiles, tile_weight, total_weight
from .conditioning import on_device, with_hint
from .guider import Guidance
from .model import fitting_batch

TILES_AT_ONCE = 4  # more of them together are hardly faster, and memory would grow with the picture
KEPT_PROMPTS = 8  # prompts that are cut already, more than a step asks about
WHOLE = {
    "gligen": "GLIGEN boxes, which lie on the whole picture",
    "reference_latents": "a reference picture, which the model would paint into every tile",
    "stable_cascade_prior": "the prior of Stable Cascade, which shows the whole picture",
    "attention_mask_img_shape": "an attention mask of a style picture, which lies on the whole picture",
    "camera_conditions": "a path of the camera, which lies on the whole picture",
}
"""What belongs to the whole picture and could not be cut along with a tile."""

Entries = list[dict[str, Any]]
"""A prompt as ComfyUI makes it ready for a run."""


def tiled(guidance: Guidance, grid: TileGrid) -> Guidance:
    """The same guidance by clones of its MODELs that are asked about tiles of the latent; their answers are blended.

    With one tile it stays as it is.

    raises: ValueError where a prompt cannot be cut, or another node has already split the latent into windows
    """
    if len(grid) == 1:
        return guidance
    _check_prompt("positive", guidance.positive)
    _check_prompt("negative", guidance.negative)
    low = guidance.low and replace(guidance.low, model=_asked_about_tiles("low_model", guidance.low.model, grid))
    return replace(guidance, model=_asked_about_tiles("model", guidance.model, grid), low=low)


def _asked_about_tiles(name: str, model: ModelPatcher, grid: TileGrid) -> ModelPatcher:
    """A clone of a MODEL that is asked about tiles; ``name`` is its input's."""
    if model.model_options.get("context_handler") is not None:
        raise ValueError(
            f"{name}: another node lets it work in context windows, and these cannot be cut into tiles as well; "
            f"connect the model without them, or make tile as large as the enlarged picture"
        )
    clone = model.clone()
    options: dict[str, Any] = clone.model_options
    options["context_handler"] = TileHandler(model, grid)
    clone.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.PREPARE_SAMPLING, "img2img_tiles", _room_for_a_tile)
    return clone


def _check_prompt(name: str, conditioning: Conditioning) -> None:
    """Refuse a prompt with what cannot be cut along with a tile; ``name`` is its input's."""
    way_out = "connect it without them, or make tile as large as the enlarged picture"
    for _, options in conditioning:
        for key, reason in WHOLE.items():
            if options.get(key) is not None:
                raise ValueError(f"{name}: it carries {reason}; {way_out}")
        control = options.get("control")
        while control is not None:
            if not isinstance(control, comfy.controlnet.ControlBase):
                raise ValueError(f"{name}: it carries a {type(control).__name__} of another pack's making; {way_out}")
            control = control.previous_controlnet


def _room_for_a_tile(executor: Any, model: Any, noise_shape: Sequence[int], *args: Any, **kwargs: Any) -> Any:
    """Have ComfyUI make room for a tile before a run, and not for the whole picture."""
    size = model.model_options["context_handler"].grid.size
    return executor(model, [*noise_shape[:-2], *size], *args, **kwargs)


class TileHandler(comfy.context_windows.ContextHandlerABC):
    """Asks a model about group after group of tiles and blends its answers, at every call."""

    def __init__(self, model: ModelPatcher, grid: TileGrid) -> None:
        self.model, self.grid = model, grid
        self.planes = Kept[tuple[Tensor, Tensor, int]](1)
        self.prompts = Kept[dict[Offsets, Entries]](KEPT_PROMPTS)
        self.controls = Kept[dict[Offsets, Any]](KEPT_PROMPTS)

    def __deepcopy__(self, memo: dict[int, Any]) -> TileHandler:
        """For a clone of the MODEL: ComfyUI copies its options deeply, and would copy all weights with this one."""
        return TileHandler(self.model, self.grid)

    def should_use_context(
        self, model: Any, conds: list[Any], x_in: Tensor, timestep: Tensor, model_options: dict[str, Any]
    ) -> bool:
        """Always: a latent of one tile gets no handler."""
        return True

    def get_resized_cond(self, cond_in: Any, x_in: Tensor, window: Any, device: Any = None) -> Any:
        """Part of ComfyUI's interface, asked by its own handler only."""
        raise NotImplementedError

    def execute(
        self,
        calc_cond_batch: Callable[..., list[Tensor]],
        model: Any,
        conds: list[Entries | None],
        x_in: Tensor,
        timestep: Tensor,
        model_options: dict[str, Any],
    ) -> list[Tensor]:
        """Called by ComfyUI for the answers to some prompts about a latent [B, C, ..., H, W]; gives one for each."""
        kind = f"{list(x_in.shape)} {x_in.dtype} {x_in.device}"
        weight, total, at_once = self.planes.get((kind,), lambda: self._plane(x_in))
        cut = [None if entries is None else self._cut(entries, x_in, at_once) for entries in conds]

        def ask(tiles: Tensor, offsets: Offsets) -> list[Tensor]:
            comfy.model_management.throw_exception_if_processing_interrupted()
            parts = [None if one is None else one[offsets] for one in cut]
            return calc_cond_batch(model, parts, tiles, timestep.repeat(len(offsets)), model_options)

        return blend_tiles(x_in, self.grid, ask, at_once, weight, total)

    def _plane(self, x: Tensor) -> tuple[Tensor, Tensor, int]:
        """Weights of a tile and of the whole plane, and how many tiles fit into memory together."""
        weight = tile_weight(self.grid, x)
        total = total_weight(self.grid, weight, *x.shape[-2:])
        tile = [*x.shape[1:-2], *self.grid.size]
        at_once = fitting_batch(self.model, tile, min(TILES_AT_ONCE, len(self.grid)), each=len(x))
        return weight, total, at_once

    def _cut(self, entries: Entries, x: Tensor, at_once: int) -> dict[Offsets, Entries]:
        """A prompt for each group of tiles; cut once, and again only where another node has changed it since."""
        parts = [part for entry in entries for part in (entry.get("mask"), *entry["model_conds"].values())]

        def cut() -> dict[Offsets, Entries]:
            whole = [on_device(_area_as_mask(entry, x), x.device) for entry in entries]
            groups = self.grid.groups(at_once)
            return {offsets: self._entries_of(whole, offsets, x, at_once) for offsets in groups}

        return self.prompts.get((str(list(x.shape)), entries, *parts), cut)

    def _entries_of(self, entries: Entries, offsets: Offsets, x: Tensor, at_once: int) -> Entries:
        """All that lies on the picture cut along with a group of tiles; entries without a share in it are gone."""
        out = []
        for entry in entries:
            conds = {name: _cut_cond(cond, self.grid, offsets, x.shape) for name, cond in entry["model_conds"].items()}
            cut: dict[str, Any] = entry | {"model_conds": conds}
            if "mask" in entry:
                cut["mask"] = self.grid.stack(entry["mask"], offsets, len(x))
            if "control" in entry:
                cut["control"] = self._controls(entry["control"], x, at_once)[offsets]
            if "mask" not in cut or bool(cut["mask"].any()):
                out.append(cut)
        return out

    def _controls(self, control: Any, x: Tensor, at_once: int) -> dict[Offsets, Any]:
        """A ControlNet for each group of tiles.

        ComfyUI answers prompt and negative together only where they share one object, so both get the same.
        """

        def enlarge(one: Any, hint: Tensor) -> Tensor:
            height, width = (side * _hint_scale(one) for side in x.shape[-2:])
            return comfy.utils.common_upscale(hint, width, height, one.upscale_algorithm, "center")

        def cut(offsets: Offsets, one: Any, hint: Tensor) -> Tensor:
            scale = _hint_scale(one)
            scaled = tuple((top * scale, left * scale) for top, left in offsets)
            return self.grid.scaled(scale).stack(hint, scaled, len(x))

        def for_groups() -> dict[Offsets, Any]:
            whole = with_hint(control, enlarge)
            return {offsets: with_hint(whole, partial(cut, offsets)) for offsets in self.grid.groups(at_once)}

        return self.controls.get((str(list(x.shape)), control), for_groups)


def _cut_cond(value: comfy.conds.CONDRegular, grid: TileGrid, offsets: Offsets, shape: torch.Size) -> Any:
    """What a prompt hands to the model, for a group of tiles of a latent of a shape [B, C, ..., H, W]."""
    tensor, batch = value.cond, shape[0]
    if not isinstance(tensor, Tensor) or isinstance(value, comfy.conds.CONDConstant):
        return value
    if tensor.ndim >= 4 and tensor.shape[-2:] == shape[-2:]:
        return value._copy_with(grid.stack(tensor, offsets, batch))
    if len(tensor) > 1:  # one for each picture
        each = comfy.utils.repeat_to_batch_size(tensor, batch)
        return value._copy_with(each.repeat(len(offsets), *[1] * (tensor.ndim - 1)))
    return value


def _hint_scale(control: Any) -> int:
    """Pixels of a ControlNet's hint for each cell of the latent."""
    vae = control.vae
    return control.compression_ratio * (1 if vae is None else vae.spacial_compression_encode())


def _area_as_mask(entry: dict[str, Any], x: Tensor) -> dict[str, Any]:
    """A prompt's entry with its area, if it has one, as a mask on the whole latent [B, C, ..., H, W]."""
    if "area" not in entry:
        return entry
    box = area_mask(entry["area"], x.shape[2:], faded="mask" not in entry)[None].to(x.device)
    masked = entry["mask"] * box if "mask" in entry else box
    return {key: value for key, value in entry.items() if key != "area"} | {"mask": masked}


def area_mask(area: Sequence[int], dims: Sequence[int], faded: bool) -> Tensor:
    """Where a prompt with an area acts, weighed as ComfyUI weighs it.

    area:  the box's sizes along the last dims, then its first cells along them
    dims:  of the whole plane
    faded: whether the weight rises over up to 8 cells from borders that are not the plane's own

    returns: [*dims], 0 outside
    """
    sides = len(area) // 2
    mask = torch.ones(tuple(dims))
    for index, (size, start) in enumerate(zip(area[:sides], area[sides:], strict=True)):
        axis = len(dims) - sides + index
        mask *= _area_weight(dims[axis], start, size, faded).reshape(-1, *[1] * (len(dims) - axis - 1))
    return mask


def _area_weight(length: int, start: int, size: int, faded: bool) -> Tensor:
    stop = min(start + size, length)
    reach = min(8, max(0, stop - start) // 4) if faded else 0
    weight, rising = torch.zeros(length), torch.arange(1, reach + 1) / max(1, reach)
    weight[start:stop] = 1.0
    if start > 0:
        weight[start : start + reach] *= rising
    if stop < length:
        weight[stop - reach : stop] *= rising.flip(0)
    return weight
