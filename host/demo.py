"""The loader of the toy: MODEL, CLIP and VAE in shapes that ComfyUI's checkpoint detection does not know."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.sd1_clip
import comfy.supported_models_base
import comfy.utils
import folder_paths
import torch
from comfy.model_patcher import ModelPatcher
from comfy.sd import CLIP, VAE
from safetensors import safe_open
from torch import Tensor

DEMO_MARK = "img2img_demo"
"""A tensor that CheckpointSave writes along with the toy: the letters of the JSON that says its shapes."""


class DemoLatents(comfy.latent_formats.SD15):
    """SD1.5's scale of latents, and the colors that the toy's four channels stand for.

    They are the least-squares fit of 240 scenes, averaged over 8 x 8 pixels, to what the toy's VAE encodes them to.
    """

    def __init__(self) -> None:
        super().__init__()
        self.latent_rgb_factors = [
            [-0.3110, -0.1271, 0.0732],
            [0.1128, -0.0035, 0.0196],
            [-0.0022, 0.0683, -0.1034],
            [-0.1620, -0.3587, -0.4233],
        ]
        self.latent_rgb_factors_bias = [0.1091, 0.0503, 0.0598]
        self.taesd_decoder_name = None  # the approximate decoder of SD1.5 knows nothing of these latents


class DemoModelConfig(comfy.supported_models_base.BASE):
    """What ComfyUI wants to know of a model: SD1.5's latents and noise levels around a UNet of any shape."""

    latent_format = DemoLatents
    unet_extra_config = {}
    memory_usage_factor = 1.0
    mark = b""

    def process_unet_state_dict_for_saving(self, state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
        """Called by CheckpointSave; ComfyUI could not tell from the weights alone what they are."""
        mark = torch.tensor(list(self.mark), dtype=torch.uint8)
        return super().process_unet_state_dict_for_saving(state_dict) | {DEMO_MARK: mark}


def load_demo_checkpoint(folder: Path, family: str) -> tuple[ModelPatcher, CLIP, VAE]:
    """Build MODEL, CLIP and VAE from ``<family>.safetensors``, ``text.safetensors`` and ``vae.safetensors``.

    ComfyUI's checkpoint detection knows published models only, so the classes are picked here. The shapes stand in
    the files' metadata.
    """
    loaded: Any = [
        comfy.utils.load_torch_file(str(folder / f"{name}.safetensors"), return_metadata=True)
        for name in (family, "text", "vae")
    ]
    (unet, unet_facts), (text, text_facts), (vae, _) = loaded
    shapes = {"family": family, "unet": json.loads(unet_facts["config"]), "text": json.loads(text_facts["config"])}
    clip = _demo_clip(shapes)
    _fill_text_encoder(clip, text)
    return _demo_model(unet, shapes), clip, VAE(sd=vae)


def saved_demo_checkpoints() -> list[str]:
    """The toys that CheckpointSave has written into its own folder, as names for ``load_saved_demo_checkpoint``."""
    folder = _saved_checkpoints()
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.glob("*.safetensors") if _is_demo(path))


def load_saved_demo_checkpoint(name: str) -> tuple[ModelPatcher, CLIP, VAE]:
    """MODEL, CLIP and VAE from what CheckpointSave made of the toy."""
    if name not in saved_demo_checkpoints():
        raise ValueError(f"family: there is no toy called {name!r} in {_saved_checkpoints()}; choose eps or flow")
    weights: Any = comfy.utils.load_torch_file(str(_saved_checkpoints() / name))
    shapes = json.loads(bytes(weights.pop(DEMO_MARK).tolist()))
    unet, text, vae = (
        comfy.utils.state_dict_prefix_replace(weights, {prefix: ""}, filter_keys=True)
        for prefix in ("model.diffusion_model.", "cond_stage_model.", "first_stage_model.")
    )
    clip = _demo_clip(shapes)
    clip.load_sd(text, full_model=True)
    return _demo_model(unet, shapes), clip, VAE(sd=vae)


def _saved_checkpoints() -> Path:
    return Path(folder_paths.get_output_directory()) / "checkpoints"


def _is_demo(path: Path) -> bool:
    with safe_open(path, "pt") as file:
        return DEMO_MARK in set(file.keys())


def _demo_model(weights: dict[str, Tensor], shapes: dict[str, Any]) -> ModelPatcher:
    """A UNet with the noise levels of its family, 'eps' or 'flow', as ComfyUI's MODEL."""
    config = DemoModelConfig(shapes["unet"])
    config.mark = json.dumps(shapes).encode()
    management = comfy.model_management
    device, parameters = management.get_torch_device(), comfy.utils.calculate_parameters(weights)
    dtype = management.unet_dtype(model_params=parameters, supported_dtypes=config.supported_inference_dtypes)
    config.set_inference_dtype(dtype, management.unet_manual_cast(dtype, device, config.supported_inference_dtypes))
    offload = management.unet_offload_device()
    model = comfy.model_base.BaseModel(config, comfy.model_base.ModelType[shapes["family"].upper()], device=offload)
    return ModelPatcher(model.load_model_weights(weights), device, offload)


def _demo_clip(shapes: dict[str, Any]) -> CLIP:
    """ComfyUI's CLIP in the shape of the small text encoder, still without weights."""
    target = comfy.supported_models_base.ClipTarget(comfy.sd1_clip.SD1Tokenizer, comfy.sd1_clip.SD1ClipModel)
    return CLIP(target, model_options={"clip_l_model_config": shapes["text"]})


def _fill_text_encoder(clip: CLIP, weights: dict[str, Tensor]) -> None:
    """Load the trimmed weights; words the world does not know all share one embedding."""
    embedding = clip.cond_stage_model.clip_l.transformer.get_input_embeddings().weight
    table = weights.pop("unknown_row").expand(embedding.shape).clone()
    table[weights.pop("token_ids").long()] = weights.pop("token_rows")
    clip.load_sd({**weights, "text_model.embeddings.token_embedding.weight": table})
