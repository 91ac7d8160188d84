"""The shapes of the demo models, the frozen text encoder, and the two families of denoiser.

The models are ComfyUI's own classes. Training is the only user of this file: the pack reads the shapes from the
metadata of the safetensors files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import comfy.sd1_clip
import torch

from . import scene as world

LATENT_SCALE = 0.18215  # of ComfyUI's SD1.5 latent format: model space = latent * scale

TEXT_CONFIG = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_attention_heads": 4,
    "num_hidden_layers": 1,
    "hidden_act": "quick_gelu",
    "max_position_embeddings": 77,
    "eos_token_id": 49407,
}
UNET_CONFIG = {
    "image_size": 16,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 64,
    "num_res_blocks": [1, 1],
    "channel_mult": [1, 2],
    "num_heads": 4,
    "use_spatial_transformer": True,
    "transformer_depth": [0, 1],
    "transformer_depth_output": [0, 0, 1, 1],
    "transformer_depth_middle": 1,
    "context_dim": TEXT_CONFIG["hidden_size"],
    "legacy": False,
}


def initialize(module: torch.nn.Module, seed: int) -> None:
    """Give ComfyUI's layers, which are built without values, PyTorch's usual random start."""
    torch.manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            torch.nn.init.kaiming_uniform_(layer.weight, a=5**0.5)
            if layer.bias is not None:
                torch.nn.init.zeros_(layer.bias)
        elif isinstance(layer, torch.nn.GroupNorm | torch.nn.LayerNorm):
            torch.nn.init.ones_(layer.weight)
            torch.nn.init.zeros_(layer.bias)


class TextEncoder:
    """A frozen encoder in which words of one meaning lie close together and all other words lie on the padding.

    Its one transformer layer changes the tokens only a little, so the denoiser learns to read them. Nothing here
    is trained: `seed` fixes every weight.
    """

    def __init__(self, seed: int = 2) -> None:
        self.tokenizer: Any = comfy.sd1_clip.SDTokenizer()
        self.model: Any = comfy.sd1_clip.SDClipModel(
            textmodel_json_config=TEXT_CONFIG, return_projected_pooled=False, dtype=torch.float32
        )
        initialize(self.model, seed)
        text: Any = self.model.transformer.text_model
        with torch.no_grad():
            for layer in text.encoder.layers:
                layer.self_attn.out_proj.weight.mul_(0.3)
                layer.mlp.fc2.weight.mul_(0.3)
            torch.nn.init.eye_(self.model.transformer.text_projection.weight)
            text.embeddings.position_embedding.weight.normal_(std=0.05)
            self.rows = self._rows(seed)
            table = text.embeddings.token_embedding.weight
            self.unknown = torch.randn(table.shape[1], generator=torch.Generator().manual_seed(seed))
            table.copy_(self.unknown.expand_as(table))
            for token, row in self.rows.items():
                table[token] = row

    def _rows(self, seed: int) -> dict[int, torch.Tensor]:
        """Token id -> embedding for the start token and every token of the words of the world."""
        draw = torch.Generator().manual_seed(seed + 1)

        def vector() -> torch.Tensor:
            return torch.randn(TEXT_CONFIG["hidden_size"], generator=draw)

        rows = {self.tokenizer.start_token: vector()}
        for values in world.WORDS.values():
            for words in values.values():
                meaning = vector()
                for word in words:
                    for token in self.tokenizer.tokenizer(word)["input_ids"][1:-1]:
                        rows.setdefault(token, meaning + 0.3 * vector())
        return rows

    @torch.no_grad()
    def __call__(self, prompts: list[str]) -> torch.Tensor:
        """Prompts -> [n, 77, hidden size], as stock CLIPTextEncode gives it."""
        tokens = [[pair[0] for pair in self.tokenizer.tokenize_with_weights(prompt)[0]] for prompt in prompts]
        return self.model(tokens)[0]

    def state(self) -> dict[str, torch.Tensor]:
        """The weights to store: the embedding table as known ids, their rows, and one row for all other words."""
        state = dict(self.model.transformer.state_dict())
        del state["text_model.embeddings.token_embedding.weight"]
        ids = sorted(self.rows)
        state["token_ids"] = torch.tensor(ids, dtype=torch.int32)
        state["token_rows"] = torch.stack([self.rows[token] for token in ids])
        state["unknown_row"] = self.unknown
        return state


@dataclass(frozen=True)
class Family:
    """How a denoiser is noised, trained and sampled. In both families d(state)/d(sigma) is the model's output."""

    name: str

    def sigma(self, share: torch.Tensor) -> torch.Tensor:
        """Noise level at a share 0..1 of the schedule: SD1.5's for `eps`, straight for `flow`."""
        if self.name == "flow":
            return share
        signal = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2, dim=0)
        sigmas = ((1 - signal) / signal).sqrt().float().to(share.device)
        return sigmas[(share * 999).round().long()]

    def state(self, clean: torch.Tensor, noise: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """The noised latent in sigma space: x0 + sigma * noise, or (1 - sigma) * x0 + sigma * noise."""
        return clean + sigma * noise if self.name == "eps" else (1 - sigma) * clean + sigma * noise

    def target(self, clean: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """What the model has to say: the noise, or the velocity noise - x0."""
        return noise if self.name == "eps" else noise - clean

    def weight(self, sigma: torch.Tensor) -> torch.Tensor:
        """How much an error counts. `eps` counts more where noise hides the picture: there day turns into night."""
        return (1 + sigma**2).clamp(max=10) if self.name == "eps" else torch.ones_like(sigma)

    def model_input(self, state: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """ComfyUI's `calculate_input`: unit variance for `eps`, unchanged for `flow`."""
        return state / (1 + sigma**2).sqrt() if self.name == "eps" else state

    def timestep(self, share: torch.Tensor) -> torch.Tensor:
        """The number given to the model: ComfyUI's row 0..999 for `eps`, 1000 * sigma for `flow`."""
        return (share * 999).round() if self.name == "eps" else 1000 * self.sigma(share)

    @torch.no_grad()
    def sample(self, model: torch.nn.Module, noise: torch.Tensor, asked: torch.Tensor, empty: torch.Tensor,
               cfg: float = 5.0, steps: int = 20) -> torch.Tensor:  # fmt: skip
        """Euler with classifier-free guidance from pure noise; `asked` [n, 77, c], `empty` [1, 77, c]."""
        shares = torch.linspace(1, 0, steps + 1, device=noise.device)
        context = torch.cat([asked, empty.expand_as(asked)])
        sigmas = torch.cat([self.sigma(shares[:-1]), shares.new_zeros(1)])
        state = self.state(torch.zeros_like(noise), noise, sigmas[0])
        for share, sigma, following in zip(shares, sigmas, sigmas[1:], strict=False):
            doubled = self.model_input(state, sigma).repeat(2, 1, 1, 1)
            times = self.timestep(share).expand(len(doubled))
            said, unsaid = model(doubled, times, context=context).float().chunk(2)
            state = state + (following - sigma) * (unsaid + cfg * (said - unsaid))
        return state
