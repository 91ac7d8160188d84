"""Between pictures and latents: VAE encoding and decoding, in tiles where they are wanted, and upscale models."""

from __future__ import annotations

import importlib
from typing import Any

import comfy.model_management
from comfy.sd import VAE
from torch import Tensor

from ..core.tiles import convert_tiles, plan_vae_tiles
from .latent import Latent


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


def vae_multiple(vae: VAE) -> int:
    """The sides of a picture must be whole multiples of this many pixels for a VAE."""
    pixels: Any = vae.spacial_compression_encode()
    return int(pixels)


def vae_unit(vae: VAE) -> int:
    """How many pixels a VAE makes of a cell of the latent, along each side."""
    pixels: Any = vae.spacial_compression_decode()
    return int(pixels)


def upscale(upscale_model: Any, image: Tensor) -> Tensor:
    """Enlarge pictures [B, H, W, C] as ComfyUI's own node for upscale models does, in tiles where memory is short."""
    node = importlib.import_module("comfy_extras.nodes_upscale_model").ImageUpscaleWithModel
    return node.execute(upscale_model, image)[0]
