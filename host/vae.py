"""Between pictures and latents: VAE encoding and decoding, in tiles where they are wanted, and upscale models."""

from __future__ import annotations

import importlib
from typing import Any, Literal, get_args

import comfy.model_base
import comfy.model_management
import torch
from comfy.model_patcher import ModelPatcher
from comfy.sd import VAE
from torch import Tensor

from ..core.tiles import convert_tiles, plan_vae_tiles
from .latent import Latent
from .model import patch_size

PICTURE_MODELS = (comfy.model_base.QwenImage, comfy.model_base.HunyuanImage21Refiner)
"""Models of pictures that share their VAE with models of clips."""


def encode(vae: VAE, image: Tensor, tile: int | None = None) -> Latent:
    """Pictures [B, H, W, C] -> LATENT, as VAE Encode does.

    tile: pixels of a tile, where it should be encoded in tiles; the sides must be whole multiples of the VAE's
    """
    image = image[..., :3]
    if tile is None:
        samples: Any = vae.encode(image)
        return {"samples": samples}
    unit = vae_multiple(vae)
    sides = image.shape[1] // unit, image.shape[2] // unit
    grid = plan_vae_tiles(*sides, tile, unit)

    def encode_tile(pixels: Tensor) -> Tensor:
        comfy.model_management.throw_exception_if_processing_interrupted()
        samples: Any = vae.encode(pixels.movedim(1, -1))
        return samples

    return {"samples": convert_tiles(image.movedim(-1, 1), grid.scaled(unit), grid, sides, encode_tile)}


def decode(vae: VAE, latent: Latent, tile: int | None = None) -> Tensor:
    """LATENT -> pictures [B, H, W, 3], as VAE Decode does; the frames of a video latent become a batch.

    tile: pixels of a tile, where it should be decoded in tiles
    """
    samples = latent["samples"]
    if tile is None:
        image = vae.decode(samples)
    else:
        unit = vae_unit(vae)
        height, width = samples.shape[-2:]
        grid, sides = plan_vae_tiles(height, width, tile, unit), (height * unit, width * unit)

        def decode_tile(part: Tensor) -> Tensor:
            comfy.model_management.throw_exception_if_processing_interrupted()
            return vae.decode(part).movedim(-1, -3)

        image = convert_tiles(samples, grid, grid.scaled(unit), sides, decode_tile).movedim(-3, -1)
    return image.reshape(-1, *image.shape[-3:]) if image.ndim == 5 else image


Batch = Literal["clip", "pictures"]
BATCHES: tuple[Batch, ...] = get_args(Batch)


def encode_for(model: ModelPatcher, vae: VAE, image: Tensor, tile: int | None = None, batch: Batch = "clip") -> Latent:
    """As ``encode``, for a model: pictures one by one where the model paints pictures and the VAE takes clips.

    batch:  what several pictures are to a model of clips: the frames of one clip, or stills
    raises: ValueError where a VAE of clips would drop some of the frames
    """
    if len(image) == 1 or not takes_clips(vae):
        return encode(vae, image, tile)
    if batch == "clip" and not isinstance(model.model, PICTURE_MODELS):
        _check_frames(vae, len(image))
        return encode(vae, image, tile)
    return {"samples": torch.cat([encode(vae, one, tile)["samples"] for one in image.split(1)])}


def takes_clips(vae: VAE) -> bool:
    """Whether a VAE takes a batch of pictures for the frames of a clip."""
    return vae.latent_dim == 3 and not vae.not_video


def _check_frames(vae: VAE, frames: int) -> None:
    shrink, grow = (ratio[0] if isinstance(ratio, tuple) else int for ratio in (vae.downscale_ratio, vae.upscale_ratio))
    kept = grow(shrink(frames))
    if kept != frames:
        fitting = sorted({grow(shrink(count)) for count in range(1, frames + 9)})
        near = [count for count in fitting if count <= frames][-1:] + [count for count in fitting if count > frames][:1]
        raise ValueError(
            f"image: it holds {frames} frames, but this VAE makes {kept} of them; give it "
            f"{' or '.join(map(str, near))} frames, or paint them as stills: one by one, or with batch set to pictures "
            f"in Image to Image (All in One)"
        )


def vae_multiple(vae: VAE) -> int:
    """The sides of a picture must be whole multiples of this many pixels for a VAE."""
    pixels: Any = vae.spacial_compression_encode()
    return int(pixels)


def canvas_multiple(model: ModelPatcher, vae: VAE) -> int:
    """The sides of a picture must be whole multiples of this many pixels, for a VAE and for the patches of a model.

    raises: ValueError where what the VAE decodes has not the size of what it encoded
    """
    pixels = vae_multiple(vae)
    if pixels != vae_unit(vae):
        raise ValueError(
            f"vae: it makes a cell of {pixels} pixels and {vae_unit(vae)} pixels of a cell, so the picture would come "
            f"back at another size; use VAE Encode, Guided Sampler and VAE Decode instead"
        )
    return pixels * patch_size(model)


def vae_unit(vae: VAE) -> int:
    """How many pixels a VAE makes of a cell of the latent, along each side."""
    pixels: Any = vae.spacial_compression_decode()
    return int(pixels)


def upscale(upscale_model: Any, image: Tensor) -> Tensor:
    """Enlarge pictures [B, H, W, C] as ComfyUI's own node for upscale models does, in tiles where memory is short."""
    node = importlib.import_module("comfy_extras.nodes_upscale_model").ImageUpscaleWithModel
    return node.execute(upscale_model, image)[0]
