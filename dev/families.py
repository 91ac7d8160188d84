"""ComfyUI's own architectures, shrunken, with random weights, and the conditioning that each is used with.

Each family is made by ComfyUI's class for it in comfy.supported_models, with its true latent format, noise levels,
grid and number of dimensions. Only widths and depths are small.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import comfy.clip_vision
import comfy.ldm.wan.vae
import comfy.model_management
import comfy.model_patcher
import comfy.sd
import comfy.supported_models
import comfy.taesd.taesd
import torch
from torch import Tensor

from . import shrunken
from .models import fill_randomly, random_vae
from .shrunken import POOLED, TOKENS, WIDTH, unet, wide_unet

Extras = Callable[["Family", torch.Generator, int], dict[str, Any]]
"""(family, generator, pictures) -> what a prompt of this family carries besides its embedding."""


@dataclass(frozen=True)
class Family:
    """A shrunken architecture.

    config:     ComfyUI's class for it, in comfy.supported_models
    network:    the sizes that ComfyUI would read from the weights
    extras:     what its prompts carry besides an embedding [1, tokens, width]
    shape:      of one latent, without the batch: [C, ..., H, W]
    width:      of an embedding
    weights:    names of single weights by which ComfyUI tells the kind of noise levels
    clip:    whether it works on clips: then the third dimension is time
    guided:     whether its guidance is built in, so that it is used at cfg 1
    """

    config: str
    network: dict[str, Any]
    shape: tuple[int, ...]
    extras: Extras = lambda *_: {}
    width: int = WIDTH
    weights: dict[str, Tensor] = field(default_factory=dict)
    clip: bool = False
    guided: bool = False

    def model(self, seed: int = 0, dtype: torch.dtype = torch.float32) -> Any:
        """A MODEL, as ComfyUI's loaders return it, with random weights."""
        config = getattr(comfy.supported_models, self.config)(self.network | {"dtype": dtype})
        offload = comfy.model_management.unet_offload_device()
        model = config.get_model(dict(self.weights), "model.diffusion_model.", device=offload)
        fill_randomly(model.diffusion_model, seed)
        for name, buffer in model.diffusion_model.named_buffers():
            if name == "pos_embed":  # of SD3, which comes with the weights
                buffer.normal_(generator=torch.Generator().manual_seed(seed))
        return comfy.model_patcher.ModelPatcher(model, comfy.model_management.get_torch_device(), offload)

    def prompt(self, seed: int, pictures: int = 1) -> list[list[Any]]:
        """A CONDITIONING of random numbers; what belongs to a picture stands there for each of so many."""
        generator = torch.Generator().manual_seed(seed)
        embedding = torch.randn(1, TOKENS, self.width, generator=generator)
        return [[embedding, self.extras(self, generator, pictures)]]

    def latent(self, pictures: int = 1, seed: int = 1, sides: tuple[int, int] | None = None) -> dict[str, Tensor]:
        """A LATENT of random numbers, at other sides where they are given."""
        shape = self.shape if sides is None else (*self.shape[:-2], *sides)
        return {"samples": _randn(torch.Generator().manual_seed(seed), pictures, *shape)}

    def vae(self) -> Any:
        """A small VAE with this family's number of channels and dimensions; 8 pixels, 4 frames to a cell."""
        if len(self.shape) == 4:
            return random_video_vae(self.shape[0])
        return random_vae(channels=self.shape[0])


def _randn(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator)


def random_video_vae(channels: int = 16, seed: int = 0) -> Any:
    """A small VAE of Wan's class with random weights: 8 pixels and 4 frames to a cell."""
    sizes: dict[str, Any] = {"dim": 4, "dim_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_scales": []}
    sizes |= {"temperal_downsample": [False, True, True], "dropout": 0.0}
    vae = comfy.sd.VAE(sd=comfy.ldm.wan.vae.WanVAE(**sizes, z_dim=16).state_dict(), dtype=torch.float32)
    network = comfy.ldm.wan.vae.WanVAE(**sizes, z_dim=channels).eval()  # ComfyUI's loader knows 16 channels only
    fill_randomly(network, seed)
    vae.latent_channels, vae.first_stage_model = channels, network
    vae.patcher = comfy.model_patcher.ModelPatcher(network, vae.device, vae.patcher.offload_device)
    return vae


def _pooled(family: Family, generator: torch.Generator, pictures: int) -> dict[str, Any]:
    return {"pooled_output": _randn(generator, 1, POOLED)}


def _sdxl(family: Family, generator: torch.Generator, pictures: int) -> dict[str, Any]:
    size = {"width": 640, "height": 480, "target_width": 640, "target_height": 480, "crop_w": 8, "crop_h": 0}
    return _pooled(family, generator, pictures) | size


def _no_pooled(family: Family, generator: torch.Generator, pictures: int) -> dict[str, Any]:
    return {"pooled_output": None}


def _flux(family: Family, generator: torch.Generator, pictures: int) -> dict[str, Any]:
    return _pooled(family, generator, pictures) | {"guidance": 2.5}


def _flux2(family: Family, generator: torch.Generator, pictures: int) -> dict[str, Any]:
    return {"pooled_output": None, "guidance": 2.5}


def _own_picture(family: Family, generator: torch.Generator, pictures: int) -> dict[str, Any]:
    """A latent picture that the model sees beside the noise, one for each picture."""
    return {"concat_latent_image": _randn(generator, pictures, *family.shape)}


def _picture_and_mask(family: Family, generator: torch.Generator, pictures: int) -> dict[str, Any]:
    mask = torch.zeros(pictures, 1, family.shape[-2] * 8, family.shape[-1] * 8)
    mask[..., 16:40, 24:] = 1
    return _own_picture(family, generator, pictures) | {"concat_mask": mask}


def _flux_fill(family: Family, generator: torch.Generator, pictures: int) -> dict[str, Any]:
    return _flux(family, generator, pictures) | _picture_and_mask(family, generator, pictures)


def _reference(family: Family, generator: torch.Generator, pictures: int) -> dict[str, Any]:
    return {"reference_latents": [_randn(generator, 1, *family.shape)]}


def _kontext(family: Family, generator: torch.Generator, pictures: int) -> dict[str, Any]:
    return _flux(family, generator, pictures) | _reference(family, generator, pictures)


def _svd(family: Family, generator: torch.Generator, pictures: int) -> dict[str, Any]:
    facts = {"motion_bucket_id": 127, "fps": 6, "augmentation_level": 0.1}
    return facts | {"concat_latent_image": _randn(generator, 1, *family.shape)}


def _upscaler(family: Family, generator: torch.Generator, pictures: int) -> dict[str, Any]:
    picture = torch.rand(pictures, 3, *family.shape[-2:], generator=generator)
    return {"concat_image": picture, "noise_augmentation": 0.1}


def _cascade_b(family: Family, generator: torch.Generator, pictures: int) -> dict[str, Any]:
    prior = _randn(generator, 1, 16, 3, 4)
    return _pooled(family, generator, pictures) | {"stable_cascade_prior": prior}


def _pixart(family: Family, generator: torch.Generator, pictures: int) -> dict[str, Any]:
    return {"width": 512, "height": 384}


def _masked_tokens(family: Family, generator: torch.Generator, pictures: int) -> dict[str, Any]:
    """A prompt shorter than its embedding."""
    mask = torch.ones(1, TOKENS, dtype=torch.long)
    mask[:, -2:] = 0
    return {"attention_mask": mask}


def _whole_prompt(family: Family, generator: torch.Generator, pictures: int) -> dict[str, Any]:
    """Without padding, at which the attention that ComfyUI takes on a CPU fails for these families."""
    return {"attention_mask": torch.ones(1, TOKENS, dtype=torch.long)}


def _hidream(family: Family, generator: torch.Generator, pictures: int) -> dict[str, Any]:
    return _pooled(family, generator, pictures) | {"conditioning_llama3": _randn(generator, 1, 2, TOKENS, WIDTH)}


def _omnigen(family: Family, generator: torch.Generator, pictures: int) -> dict[str, Any]:
    return _whole_prompt(family, generator, pictures) | _reference(family, generator, pictures)


def _hunyuan_video(family: Family, generator: torch.Generator, pictures: int) -> dict[str, Any]:
    return _pooled(family, generator, pictures) | {"guidance": 5.0}


def _hunyuan_i2v(family: Family, generator: torch.Generator, pictures: int) -> dict[str, Any]:
    return _hunyuan_video(family, generator, pictures) | _first_frame(family, generator, pictures)


def _first_frame(family: Family, generator: torch.Generator, pictures: int) -> dict[str, Any]:
    """A picture that a clip starts from, in the way of the nodes for image to video."""
    mask = torch.ones(1, 1, *family.shape[1:])
    mask[:, :, :1] = 0
    return {"concat_latent_image": _randn(generator, 1, *family.shape), "concat_mask": mask}


def _no_frames(family: Family, generator: torch.Generator, pictures: int) -> dict[str, Any]:
    """No frame to start from: where the prompt says so, ComfyUI's own sampler takes a mask as well."""
    return {"pooled_output": None, "concat_mask": torch.ones(1, 1, *family.shape[1:])}


def _seen_first_frame(family: Family, generator: torch.Generator, pictures: int) -> dict[str, Any]:
    """The same, seen by CLIP Vision as well."""
    seen = comfy.clip_vision.Output()
    seen["penultimate_hidden_states"] = _randn(generator, 1, 257, 1280)
    return _first_frame(family, generator, pictures) | {"clip_vision_output": seen}


def _rate(family: Family, generator: torch.Generator, pictures: int) -> dict[str, Any]:
    return _masked_tokens(family, generator, pictures) | {"frame_rate": 25}


IMAGE, CLIP = (16, 6, 8), (16, 3, 6, 8)
V_WEIGHT = {"model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias": torch.tensor([-1.0, 1.0])}
EDM_WEIGHTS = {"edm_mean": torch.zeros(1), "edm_std": torch.ones(1)}
SDXL_SIZE, REFINER_SIZE = POOLED + 6 * 256, POOLED + 5 * 256

ARCHITECTURES: dict[str, Family] = {
    "SD1.5": Family("SD15", unet(), (4, 6, 8)),
    "SD1.5 inpaint": Family("SD15", unet(in_channels=9), (4, 6, 8), _picture_and_mask),
    "SD1.5 InstructPix2Pix": Family("SD15_instructpix2pix", unet(in_channels=8), (4, 6, 8), _own_picture),
    "SD2.1 v": Family("SD20", wide_unet() | {"num_classes": None}, (4, 6, 8), weights=V_WEIGHT),
    "SDXL": Family("SDXL", wide_unet(adm_in_channels=SDXL_SIZE), (4, 6, 8), _sdxl),
    "SDXL refiner": Family("SDXLRefiner", wide_unet(adm_in_channels=REFINER_SIZE), (4, 6, 8), _sdxl),
    "Playground 2.5": Family("SDXL", wide_unet(adm_in_channels=SDXL_SIZE), (4, 6, 8), _sdxl, weights=EDM_WEIGHTS),
    "SVD": Family("SVD_img2vid", shrunken.SVD, (4, 6, 8), _svd),
    "x4 upscaler": Family("SD_X4Upscaler", shrunken.UPSCALER, (4, 12, 16), _upscaler),
    "Stable Cascade C": Family("Stable_Cascade_C", shrunken.CASCADE_C, (16, 6, 8), _pooled),
    "Stable Cascade B": Family("Stable_Cascade_B", shrunken.CASCADE_B, (4, 8, 8), _cascade_b),
    "SD3": Family("SD3", shrunken.SD3, IMAGE, _pooled),
    "AuraFlow": Family("AuraFlow", shrunken.AURA, (4, 6, 8)),
    "PixArt alpha": Family(
        "PixArtAlpha", shrunken.PIXART | {"image_model": "pixart_alpha", "micro_condition": True}, (4, 36, 36), _pixart
    ),
    "PixArt sigma": Family(
        "PixArtSigma", shrunken.PIXART | {"image_model": "pixart_sigma", "micro_condition": False}, (4, 36, 36), _pixart
    ),
    "Flux dev": Family("Flux", shrunken.FLUX, IMAGE, _flux, guided=True),
    "Flux schnell": Family("FluxSchnell", shrunken.FLUX | {"guidance_embed": False}, IMAGE, _pooled, guided=True),
    "Flux Fill": Family("FluxInpaint", shrunken.FLUX | {"in_channels": 96}, IMAGE, _flux_fill, guided=True),
    "Flux Kontext": Family("Flux", shrunken.FLUX, IMAGE, _kontext, guided=True),
    "Flux2": Family("Flux2", shrunken.FLUX2, (128, 6, 8), _flux2, guided=True),
    "Chroma": Family("Chroma", shrunken.CHROMA, IMAGE, _no_pooled),
    "Chroma Radiance": Family("ChromaRadiance", shrunken.RADIANCE, (3, 32, 48), _no_pooled),
    "Lumina2": Family("Lumina2", shrunken.LUMINA, IMAGE, _whole_prompt),
    "Z-Image": Family("ZImage", shrunken.Z_IMAGE, IMAGE),
    "HiDream": Family("HiDream", shrunken.HIDREAM, IMAGE, _hidream),
    "Qwen-Image": Family("QwenImage", shrunken.QWEN, (16, 1, 6, 8)),
    "Qwen-Image Edit": Family("QwenImage", shrunken.QWEN, (16, 1, 6, 8), _reference),
    "OmniGen2": Family("Omnigen2", shrunken.OMNIGEN, IMAGE, _omnigen),
    "HunyuanImage 2.1": Family("HunyuanImage21", shrunken.HUNYUAN_IMAGE, (64, 6, 8), guided=True),
    "Wan 2.1": Family("WAN21_T2V", shrunken.WAN, CLIP, clip=True),
    "Wan 2.1 I2V": Family(
        "WAN21_I2V", shrunken.WAN | {"model_type": "i2v", "in_dim": 36}, CLIP, _seen_first_frame, clip=True
    ),
    "Wan 2.1 VACE": Family(
        "WAN21_Vace", shrunken.WAN | {"model_type": "vace", "vace_layers": 1, "vace_in_dim": 96}, CLIP, clip=True
    ),
    "Wan 2.2 14B I2V": Family("WAN21_T2V", shrunken.WAN | {"in_dim": 36}, CLIP, _first_frame, clip=True),
    "Wan 2.2 5B": Family("WAN22_T2V", shrunken.WAN | {"in_dim": 48, "out_dim": 48}, (48, 3, 6, 8), clip=True),
    "HunyuanVideo": Family("HunyuanVideo", shrunken.HUNYUAN, CLIP, _hunyuan_video, clip=True, guided=True),
    "HunyuanVideo I2V": Family(
        "HunyuanVideoI2V", shrunken.HUNYUAN | {"in_channels": 33}, CLIP, _hunyuan_i2v, clip=True, guided=True
    ),
    "HunyuanVideo 1.5": Family("HunyuanVideo15", shrunken.HUNYUAN_15, (32, 3, 6, 8), _no_frames, clip=True),
    "LTXV": Family("LTXV", shrunken.LTXV, (128, 3, 6, 8), _rate, clip=True),
    "Mochi": Family("GenmoMochi", shrunken.MOCHI, (12, 3, 6, 8), _masked_tokens, clip=True),
    "Cosmos": Family("CosmosT2V", shrunken.COSMOS, CLIP, _rate, clip=True),
    "Cosmos Predict2": Family("CosmosT2IPredict2", shrunken.PREDICT, CLIP, clip=True),
    "Cosmos Predict2 I2V": Family(
        "CosmosI2VPredict2", shrunken.PREDICT | {"in_channels": 17}, CLIP, _first_frame, clip=True
    ),
}
