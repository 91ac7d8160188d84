"""Models of ComfyUI's own classes with random weights, of every family, for tests and benchmarks.

They paint nothing sensible, but everything that happens around a model's answer is the real thing. One more kind
answers in closed form, so that a solver's error can be told from a network's.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import comfy.cldm.cldm
import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.model_sampling
import comfy.ops
import comfy.sd
import comfy.supported_models_base
import comfy.taesd.taesd
import torch
from comfy.ldm.flux.model import FluxParams

CONTEXT = 32


def sizes_known(parameters: type, **sizes: Any) -> dict[str, Any]:
    """Those sizes that a network's class of parameters has; ComfyUIs that came after the pinned one need some more."""
    known = {one.name for one in dataclasses.fields(parameters)}
    return {name: size for name, size in sizes.items() if name in known}


FLUX_OF_NEWER_HOSTS = sizes_known(FluxParams, txt_ids_dims=[])

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


SDXL_UNET: dict[str, Any] = {
    "image_size": 32,
    "model_channels": 320,
    "num_res_blocks": [2, 2, 2],
    "channel_mult": [1, 2, 4],
    "transformer_depth": [0, 0, 2, 2, 10, 10],
    "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10],
    "transformer_depth_middle": 10,
    "use_spatial_transformer": True,
    "use_linear_in_transformer": True,
    "context_dim": 2048,
    "num_head_channels": 64,
    "legacy": False,
}
"""Without the size that SDXL is told beside the prompt, which is added to the time embedding at no cost."""


@dataclass(frozen=True)
class Family:
    """How a model noises: ComfyUI's model type, sampling settings and latent format.

    concat:      channels that it sees besides the noised latent: 5 of an inpaint model, 3 of the x4 upscaler
    model_class: ComfyUI's class for it, in comfy.model_base
    """

    model_type: str
    settings: dict[str, Any] = field(default_factory=dict)
    latent_format: str = "SD15"
    unet: dict[str, Any] = field(default_factory=lambda: TINY_UNET)
    concat: int = 0
    model_class: str = "BaseModel"


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
    "inpaint": Family("EPS", concat=5),
    "x4 upscaler": Family(
        "V_PREDICTION",
        {"linear_start": 0.0001, "linear_end": 0.02},
        latent_format="SD_X4",
        unet=TINY_UNET | {"num_classes": 1000},
        concat=3,
        model_class="SD_X4Upscaler",
    ),
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
    sides = {"in_channels": channels + family.concat, "out_channels": channels}
    config = Config((unet or family.unet) | sides | {"dtype": dtype})
    offload = comfy.model_management.unet_offload_device()
    model_class = getattr(comfy.model_base, family.model_class)
    model = model_class(config, comfy.model_base.ModelType[family.model_type], device=offload)
    if family.model_class == "BaseModel" and family.concat:
        model.set_inpaint()
    fill_randomly(model.diffusion_model, seed)
    return comfy.model_patcher.ModelPatcher(model, comfy.model_management.get_torch_device(), offload)


class GaussianMixture(torch.nn.Module):
    """The ideal answer of any family for pictures drawn from a few normal distributions, in place of a network.

    A prompt is one token with a number for each distribution, which weighs it (a softmax).
    """

    dtype = torch.float64

    def __init__(self, sampling: Any, count: int, shape: list[int], spread: float, seed: int) -> None:
        super().__init__()
        self.sampling = (sampling,)  # in a tuple, because it is the model's part already
        self.spread = spread
        generator = torch.Generator().manual_seed(seed)
        self.means = torch.nn.Buffer(torch.randn(count, *shape, generator=generator, dtype=self.dtype))

    def forward(self, x: torch.Tensor, timesteps: torch.Tensor, context: torch.Tensor, **options: Any) -> torch.Tensor:
        """What ``calculate_denoised`` turns into the expected picture; x as ``calculate_input`` scaled it."""
        (sampling,) = self.sampling
        # discrete families round the timestep, so the sigma itself is read where the host leaves it for patches
        sigma = options["transformer_options"]["sigmas"].to(x)
        sigma = sigma.repeat(len(x) // len(sigma)).view(-1, *[1] * (x.ndim - 1))  # prompt and negative come together
        x = x / sampling.calculate_input(sigma, torch.ones_like(x))
        unit = sampling.calculate_denoised(sigma, torch.ones_like(x), torch.zeros_like(x))
        rest = sampling.calculate_denoised(sigma, torch.zeros_like(x), x)
        return (self.expected_picture(x, sigma, context[:, 0].to(x)) - rest) / unit

    def expected_picture(self, x: torch.Tensor, sigma: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """E[x0 | x] for x = a x0 + sigma noise, where a is 1, and 1 - sigma on flow models."""
        signal = 1 - sigma if isinstance(self.sampling[0], comfy.model_sampling.CONST) else torch.ones_like(sigma)
        variance = signal**2 * self.spread**2 + sigma**2
        away = (x[:, None] - signal[:, None] * self.means).flatten(2)
        share = torch.softmax(weights.log_softmax(1) - away.square().sum(2) / (2 * variance.view(-1, 1)), 1)
        mean = torch.einsum("bk,k...->b...", share, self.means.to(x))
        return mean + signal * self.spread**2 / variance * (x - signal * mean)


def mixture_model(name: str, count: int = 5, side: int = 2, spread: float = 0.5, seed: int = 2) -> Any:
    """A MODEL of a family for 4 x side x side latents that answers as ``GaussianMixture`` does, in float64.

    The host rounds its answer to float32, as that of any network.
    """
    family = FAMILIES[name]

    class Config(comfy.supported_models_base.BASE):
        latent_format = comfy.latent_formats.LatentFormat
        sampling_settings = family.settings

    offload = comfy.model_management.unet_offload_device()
    config = Config({"disable_unet_model_creation": True})
    model: Any = comfy.model_base.BaseModel(config, comfy.model_base.ModelType[family.model_type], device=offload)
    model.diffusion_model = GaussianMixture(model.model_sampling, count, [4, side, side], spread, seed)
    return comfy.model_patcher.ModelPatcher(model, comfy.model_management.get_torch_device(), offload)


def random_conditioning(seed: int, width: int = CONTEXT, tokens: int = 7) -> list[list[Any]]:
    """A CONDITIONING of random numbers; wide enough for ``SD15_UNET`` at 768."""
    generator = torch.Generator().manual_seed(seed)
    return [[torch.randn(1, tokens, width, generator=generator), {}]]


def fill_randomly(network: torch.nn.Module, seed: int) -> None:
    """Random weights that about keep the scale of a signal, also in layers that would start at zero."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        spread = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.1
        parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * spread)


def random_vae(seed: int = 0, channels: int = 4) -> Any:
    """A small VAE (ComfyUI's TAESD class, 8 pixels to a latent) with random weights."""
    network = comfy.taesd.taesd.TAESD(latent_channels=channels)
    fill_randomly(network, seed)
    return comfy.sd.VAE(sd=network.state_dict())


def random_control_net(unet: dict[str, Any] = TINY_UNET, seed: int = 0) -> torch.nn.Module:
    """A ControlNet for pictures of three channels, beside a UNet of the given shape with 4 latent channels."""
    shape = {name: value for name, value in unet.items() if name not in ("transformer_depth_output", "out_channels")}
    shape |= {"in_channels": 4, "hint_channels": 3, "dtype": torch.float32, "operations": comfy.ops.disable_weight_init}
    network = comfy.cldm.cldm.ControlNet(**shape)
    fill_randomly(network, seed)
    return network
