"""The sizes of ComfyUI's networks, shrunken: what its loader would read from the weights of a real one."""

from __future__ import annotations

from typing import Any

import torch
from comfy.ldm.chroma.model import ChromaParams
from comfy.ldm.chroma_radiance.model import ChromaRadianceParams
from comfy.ldm.flux.model import FluxParams
from comfy.ldm.hunyuan_video.model import HunyuanVideoParams

from .models import FLUX_OF_NEWER_HOSTS, TINY_UNET, sizes_known

WIDTH, TOKENS, POOLED = 32, 7, 24
"""Of the embeddings of prompts: [1, TOKENS, WIDTH], and pooled [1, POOLED]."""


def unet(**sizes: Any) -> dict[str, Any]:
    """A UNet of two levels."""
    plain = {"in_channels": 4, "out_channels": 4, "adm_in_channels": None, "use_linear_in_transformer": False}
    return TINY_UNET | plain | {"context_dim": WIDTH} | sizes


def wide_unet(**sizes: Any) -> dict[str, Any]:
    """For families whose heads ComfyUI makes 64 wide."""
    return unet(
        model_channels=64,
        channel_mult=[1],
        num_res_blocks=[1],
        transformer_depth=[1],
        use_linear_in_transformer=True,
        transformer_depth_output=[1, 1],
        transformer_depth_middle=1,
        num_classes="sequential",
        **sizes,
    )


UPSCALER: dict[str, Any] = unet(in_channels=7) | {
    "channel_mult": [1, 1, 1, 1],
    "num_res_blocks": [1, 1, 1, 1],
    "transformer_depth": [0, 1, 0, 1],
    "transformer_depth_output": [0, 0, 1, 1, 0, 0, 1, 1],
}
SVD: dict[str, Any] = wide_unet(in_channels=8, adm_in_channels=768) | {
    "video_kernel_size": [3, 1, 1],
    "use_temporal_attention": True,
    "use_temporal_resblock": True,
    "extra_ff_mix_layer": True,
    "merge_strategy": "learned_with_images",
}
AURA: dict[str, Any] = {
    "cond_seq_dim": WIDTH,
    "dim": 32,
    "n_heads": 2,
    "n_layers": 2,
    "n_double_layers": 1,
    "global_conddim": 32,
    "max_seq": 256,
}
CASCADE_C: dict[str, Any] = {
    "stable_cascade_stage": "c",
    "c_cond": 32,
    "c_hidden": [32, 32],
    "nhead": [2, 2],
    "blocks": [[1, 1], [1, 1]],
    "c_clip_text": WIDTH,
    "c_clip_text_pooled": POOLED,
}
CASCADE_B: dict[str, Any] = {
    "stable_cascade_stage": "b",
    "c_cond": 32,
    "c_hidden": [16, 32],
    "nhead": [-1, 2],
    "c_clip": POOLED,
    "blocks": [[1, 1], [1, 1]],
    "block_repeat": [[1, 1], [1, 1]],
    "level_config": ["CT", "CTA"],
    "dropout": [0, 0],
}
SD3: dict[str, Any] = {
    "in_channels": 16,
    "out_channels": 16,
    "patch_size": 2,
    "depth": 2,
    "input_size": None,
    "adm_in_channels": POOLED,
    "num_patches": 256,
    "pos_embed_max_size": 16,
    "pos_embed_scaling_factor": None,
    "context_embedder_config": {"target": "torch.nn.Linear", "params": {"in_features": WIDTH, "out_features": 128}},
    "qk_norm": "rms",
}
FLUX: dict[str, Any] = {
    "image_model": "flux",
    "in_channels": 16,
    "out_channels": 16,
    "vec_in_dim": POOLED,
    "patch_size": 2,
    "context_in_dim": WIDTH,
    "hidden_size": 32,
    "mlp_ratio": 2.0,
    "num_heads": 2,
    "depth": 1,
    "depth_single_blocks": 1,
    "axes_dim": [4, 6, 6],
    "theta": 10000,
    "qkv_bias": True,
    "guidance_embed": True,
    **FLUX_OF_NEWER_HOSTS,
}
FLUX2: dict[str, Any] = FLUX | {
    "image_model": "flux2",
    "in_channels": 128,
    "out_channels": 128,
    "vec_in_dim": None,
    "patch_size": 1,
    "axes_dim": [4, 4, 4, 4],
    "theta": 2000,
    "qkv_bias": False,
    "global_modulation": True,
    "mlp_silu_act": True,
    "ops_bias": False,
    "default_ref_method": "index",
    "ref_index_scale": 10.0,
    **sizes_known(FluxParams, txt_ids_dims=[3]),
}
CHROMA: dict[str, Any] = {
    name: value for name, value in FLUX.items() if name not in ("vec_in_dim", "guidance_embed", "txt_ids_dims")
} | {
    "image_model": "chroma",
    "in_channels": 64,
    "out_channels": 64,
    "in_dim": 64,
    "out_dim": 32,
    "hidden_dim": 32,
    "n_layers": 1,
    **sizes_known(ChromaParams, txt_ids_dims=[], vec_in_dim=None),
}
RADIANCE: dict[str, Any] = CHROMA | {
    "image_model": "chroma_radiance",
    "in_channels": 3,
    "out_channels": 3,
    "patch_size": 16,
    "nerf_hidden_size": 8,
    "nerf_mlp_ratio": 2,
    "nerf_depth": 1,
    "nerf_max_freqs": 4,
    "nerf_tile_size": 0,
    "nerf_final_head_type": "conv",
    "nerf_embedder_dtype": torch.float32,
    **sizes_known(ChromaRadianceParams, use_x0=False, use_sequential_txt_ids=False),
}
LUMINA: dict[str, Any] = {
    "image_model": "lumina2",
    "patch_size": 2,
    "in_channels": 16,
    "dim": 48,
    "cap_feat_dim": WIDTH,
    "n_layers": 1,
    "n_refiner_layers": 1,
    "n_heads": 2,
    "n_kv_heads": 2,
    "multiple_of": 8,
    "axes_dims": [8, 8, 8],
    "axes_lens": [300, 64, 64],
    "qk_norm": True,
    "ffn_dim_multiplier": 1.0,
}
Z_IMAGE: dict[str, Any] = LUMINA | {
    "dim": 256,
    "axes_dims": [32, 48, 48],
    "z_image_modulation": True,
    "time_scale": 1000.0,
    "rope_theta": 256.0,
    "pad_tokens_multiple": 8,
}
HIDREAM: dict[str, Any] = {
    "image_model": "hidream",
    "attention_head_dim": 16,
    "axes_dims_rope": [8, 4, 4],
    "patch_size": 2,
    "caption_channels": [WIDTH, WIDTH],
    "max_resolution": [128, 128],
    "in_channels": 16,
    "out_channels": 16,
    "llama_layers": [0, 1],
    "num_attention_heads": 2,
    "num_layers": 1,
    "num_single_layers": 1,
    "text_emb_dim": POOLED,
}
QWEN: dict[str, Any] = {
    "image_model": "qwen_image",
    "in_channels": 64,
    "num_layers": 1,
    "attention_head_dim": 16,
    "num_attention_heads": 2,
    "joint_attention_dim": WIDTH,
    "axes_dims_rope": (4, 6, 6),
}
OMNIGEN: dict[str, Any] = {
    "image_model": "omnigen2",
    "axes_dim_rope": [8, 4, 4],
    "axes_lens": [64, 64, 64],
    "hidden_size": 32,
    "in_channels": 16,
    "multiple_of": 8,
    "num_attention_heads": 2,
    "num_kv_heads": 2,
    "num_layers": 1,
    "patch_size": 2,
    "num_refiner_layers": 1,
    "text_feat_dim": WIDTH,
    "timestep_scale": 1000.0,
}
HUNYUAN: dict[str, Any] = {
    "image_model": "hunyuan_video",
    "in_channels": 16,
    "out_channels": 16,
    "patch_size": [1, 2, 2],
    "vec_in_dim": POOLED,
    "axes_dim": [4, 6, 6],
    "meanflow": False,
    "context_in_dim": WIDTH,
    "hidden_size": 32,
    "mlp_ratio": 2.0,
    "num_heads": 2,
    "depth": 1,
    "depth_single_blocks": 1,
    "theta": 256,
    "qkv_bias": True,
    "byt5": False,
    "guidance_embed": True,
    "use_cond_type_embedding": False,
    "vision_in_dim": None,
    **sizes_known(HunyuanVideoParams, meanflow_sum=False),
}
HUNYUAN_IMAGE: dict[str, Any] = HUNYUAN | {
    "in_channels": 64,
    "out_channels": 64,
    "patch_size": [1, 1],
    "axes_dim": [8, 8],
    "vec_in_dim": None,
}
HUNYUAN_15: dict[str, Any] = HUNYUAN | {
    "in_channels": 65,
    "out_channels": 32,
    "patch_size": [1, 1, 1],
    "vec_in_dim": None,
    "guidance_embed": False,
    "use_cond_type_embedding": True,
    "vision_in_dim": 8,
    **sizes_known(HunyuanVideoParams, meanflow_sum=True),
}
WAN: dict[str, Any] = {
    "image_model": "wan2.1",
    "model_type": "t2v",
    "dim": 32,
    "ffn_dim": 32,
    "freq_dim": 16,
    "text_dim": WIDTH,
    "in_dim": 16,
    "out_dim": 16,
    "num_heads": 2,
    "num_layers": 1,
}
LTXV: dict[str, Any] = {
    "image_model": "ltxv",
    "num_layers": 1,
    "attention_head_dim": 16,
    "num_attention_heads": 2,
    "cross_attention_dim": 32,
    "caption_channels": WIDTH,
}
MOCHI: dict[str, Any] = {
    "image_model": "mochi_preview",
    "depth": 2,
    "patch_size": 2,
    "num_heads": 2,
    "hidden_size_x": 64,
    "hidden_size_y": 32,
    "mlp_ratio_x": 192.0,
    "mlp_ratio_y": 2.0,
    "learn_sigma": False,
    "in_channels": 12,
    "qk_norm": True,
    "qkv_bias": False,
    "out_bias": True,
    "attn_drop": 0.0,
    "patch_embed_bias": True,
    "posenc_preserve_area": True,
    "timestep_mlp_bias": True,
    "timestep_scale": 1000.0,
    "use_t5": True,
    "t5_feat_dim": WIDTH,
    "t5_token_length": TOKENS,
}
PREDICT: dict[str, Any] = {
    "image_model": "cosmos_predict2",
    "max_img_h": 240,
    "max_img_w": 240,
    "max_frames": 128,
    "in_channels": 16,
    "out_channels": 16,
    "patch_spatial": 2,
    "patch_temporal": 1,
    "model_channels": 64,
    "num_blocks": 1,
    "num_heads": 2,
    "crossattn_emb_channels": WIDTH,
    "pos_emb_cls": "rope3d",
    "pos_emb_learnable": True,
    "use_adaln_lora": True,
    "adaln_lora_dim": 8,
    "mlp_ratio": 2.0,
    "rope_enable_fps_modulation": False,
}
COSMOS: dict[str, Any] = {name: value for name, value in PREDICT.items() if name != "rope_enable_fps_modulation"} | {
    "image_model": "cosmos",
    "block_x_format": "THWBD",
    "affline_emb_norm": True,
    "extra_per_block_abs_pos_emb": True,
    "extra_per_block_abs_pos_emb_type": "learnable",
    "pos_emb_learnable": False,
}
PIXART: dict[str, Any] = {
    "num_heads": 2,
    "patch_size": 2,
    "hidden_size": 48,
    "in_channels": 4,
    "depth": 1,
    "input_size": 16,
    "caption_channels": WIDTH,
    "model_max_length": TOKENS,
    "pe_interpolation": 1,
    "mlp_ratio": 2.0,
}
