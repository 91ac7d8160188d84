"""Models of ComfyUI's own classes with random weights, of every family, for tests and benchmarks.

They paint nothing sensible, but everything that happens around a model's answer is the real thing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import comfy.cldm.cldm
import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.sd
import comfy.supported_models_base
import comfy.taesd.taesd
import torch

CONTEXT = 32

TINY_UNET: dict[str, Any] = {
    "image_size": 32,
    "model_channels": 32,
    "num_res_blocks": [1, 1],
    "channel_mult": [1, 2],
    "transformer_depth": [1, 0],
    "transformer_depth_output": [1, 1, 0, 0],
    "transformer_depth_middle": 0,
    "use_spatial_transformer": True,
    "context_dim": CONTEXT,
    "num_heads": 2,
    "legacy": False,
}

VIDEO_UNET: dict[str, Any] = {
    "image_size": 32,
    "model_channels": 32,
    "num_res_blocks": [1],
    "channel_mult": [1],
    "transformer_depth": [0],
    "transformer_depth_output": [0, 0],
    "transformer_depth_middle": -2,
    "dims": 3,
    "num_heads": 2,
    "legacy": False,
}

SD15_UNET: dict[str, Any] = {
    "image_size": 32,
    "model_channels": 320,
    "num_res_blocks": [2, 2, 2, 2],
    "channel_mult": [1, 2, 4, 4],
    "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
    "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
    "transformer_depth_middle": 1,
    "use_spatial_transformer": True,
    "context_dim": 768,
    "num_heads": 8,
    "legacy": False,
}


@dataclass(frozen=True)
class Family:
    """How a model noises: ComfyUI's model type, sampling settings and latent format."""

    model_type: str
    settings: dict[str, Any] = field(default_factory=dict)
    latent_format: str = "SD15"
    unet: dict[str, Any] = field(default_factory=lambda: TINY_UNET)


FAMILIES = {
    "eps": Family("EPS"),
    "v": Family("V_PREDICTION"),
    "zero-SNR v": Family("V_PREDICTION", {"zsnr": True}),
    "edm": Family("EDM", {"sigma_data": 0.5, "sigma_min": 0.002, "sigma_max": 80.0}),
    "flow": Family("FLOW"),
    "flow shift 3": Family("FLOW", {"shift": 3.0}, latent_format="SD3"),
    "flux": Family("FLUX", {"shift": 1.15}, latent_format="Flux"),
    "flow 128 channels": Family("FLOW", {"shift": 2.0}, latent_format="Flux2"),
    "video flow": Family("FLOW", {"shift": 5.0}, latent_format="Wan21", unet=VIDEO_UNET),
    "cosmos": Family("FLOW_COSMOS", latent_format="SD15"),
}


def random_model(
    name: str, seed: int = 0, unet: dict[str, Any] | None = None, dtype: torch.dtype = torch.float32
) -> Any:
    """A MODEL of a family, as ComfyUI's loaders return it, with random weights.

    raises: KeyError for an unknown family
    """
    family = FAMILIES[name]
    latent_format = getattr(comfy.latent_formats, family.latent_format)

    class Config(comfy.supported_models_base.BASE):
        unet_extra_config = {}  # the heads are given with each UNet above

    Config.latent_format = latent_format
    Config.sampling_settings = family.settings
    channels = latent_format.latent_channels
    config = Config((unet or family.unet) | {"in_channels": channels, "out_channels": channels, "dtype": dtype})
    offload = comfy.model_management.unet_offload_device()
    model = comfy.model_base.BaseModel(config, comfy.model_base.ModelType[family.model_type], device=offload)
    _fill(model.diffusion_model, seed)
    return comfy.model_patcher.ModelPatcher(model, comfy.model_management.get_torch_device(), offload)


def random_conditioning(seed: int, width: int = CONTEXT, tokens: int = 7) -> list[list[Any]]:
    """A CONDITIONING of random numbers; wide enough for ``SD15_UNET`` at 768."""
    generator = torch.Generator().manual_seed(seed)
    return [[torch.randn(1, tokens, width, generator=generator), {}]]


def _fill(network: torch.nn.Module, seed: int) -> None:
    """Weights that keep signals about as strong as they come in, also through layers that start at zero."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        spread = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.1
        parameter.data = (torch.randn(parameter.shape, generator=generator) * spread).to(parameter)


def random_vae(seed: int = 0) -> Any:
    """A small VAE (ComfyUI's TAESD class, 4 channels, 8 pixels to a latent) with random weights."""
    network = comfy.taesd.taesd.TAESD(latent_channels=4)
    _fill(network, seed)
    return comfy.sd.VAE(sd=network.state_dict())


def random_control_net(unet: dict[str, Any] = TINY_UNET, seed: int = 0) -> torch.nn.Module:
    """A ControlNet for pictures of three channels, beside a UNet of the given shape with 4 latent channels."""
    shape = {name: value for name, value in unet.items() if name not in ("transformer_depth_output", "out_channels")}
    shape |= {"in_channels": 4, "hint_channels": 3, "dtype": torch.float32, "operations": comfy.ops.disable_weight_init}
    network = comfy.cldm.cldm.ControlNet(**shape)
    _fill(network, seed)
    return network
