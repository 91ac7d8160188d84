"""A call of every node and every option, made from the schemas: for tests that hold for all nodes alike.

A new node is in them as soon as it is registered, as long as `sockets` knows what to connect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.samplers
import folder_paths
import torch
from PIL import Image

from .models import FAMILIES, random_conditioning, random_model, random_vae

SIDE = 64  # pixels; the smallest that a tile may have
WIDTH = 128  # of the toy's text encoder
SMALL: dict[str, Any] = {
    "steps": 2,
    "target": 64,
    "tile": 64,
    "overlap": 16,
    "count": 2,
    "inner_steps": 2,
    "width": SIDE,
    "height": SIDE,
    "row_values": "0.3, 0.6",
    "column_values": "4, 1",
    "styles": "oil painting\npixel art",
    "feather": 2,
    "folder": "every node",
    "sampler_name": "euler",
    "scheduler": "normal",
    "left": 8,
    "scale": 1.25,
}
"""What differs from the defaults, so that a call takes no longer than it must."""
AXES = {
    "strength": "0.3, 0.6",
    "cfg": "1, 4",
    "steps": "1, 2",
    "sampler": "euler, lcm",
    "scheduler": "normal, simple",
    "seed": "1, 2",
    "prompt": "a house\na boat",
}
"""Values for the axes of a grid."""


@dataclass
class World:
    """What there is to connect: a model with its text encoder and VAE, and pictures, where ComfyUI would keep them.

    on_cpu: kinds of sockets that give something of the CPU's, wherever ComfyUI would keep it
    made: what nodes have given for the sockets of other nodes
    """

    nodes: dict[str, Any]
    model: Any
    clip: Callable[[], Any]
    vae: Any
    upscale_model: Callable[[], Any] | None = None
    batch: int = 1
    on_cpu: tuple[str, ...] = ()
    made: dict[str, Any] = field(default_factory=dict)

    @property
    def image(self) -> torch.Tensor:
        """Pictures [B, SIDE, SIDE, 3]."""
        picture = torch.rand(self.batch, SIDE, SIDE, 3, generator=torch.Generator().manual_seed(1))
        return self._placed("IMAGE", picture)

    @property
    def mask(self) -> torch.Tensor:
        """A soft mask [1, SIDE, SIDE], black at its border."""
        mask = torch.zeros(1, SIDE, SIDE)
        mask[:, 16:48, 8:40] = 0.6
        mask[:, 24:40, 16:32] = 1.0
        return self._placed("MASK", mask)

    @property
    def latent(self) -> dict[str, Any]:
        """A LATENT of the model's shape."""
        form = self.model.get_model_object("latent_format")
        frames = [2] if form.latent_dimensions == 3 else []
        shape = [self.batch, form.latent_channels, *frames, SIDE // 8, SIDE // 8]
        samples = torch.randn(shape, generator=torch.Generator().manual_seed(2))
        return {"samples": self._placed("LATENT", samples)}

    def _placed(self, kind: str, tensor: torch.Tensor) -> torch.Tensor:
        device: Any = comfy.model_management.intermediate_device()
        return tensor if kind in self.on_cpu else tensor.to(device)

    def socket(self, kind: str) -> Any:
        """Something to connect to an input of a kind, such as LATENT."""
        if kind not in self.made:
            self.made[kind] = self._sockets()[kind]()
        return self.made[kind]

    def _sockets(self) -> dict[str, Callable[[], Any]]:
        return {
            "MODEL": lambda: self.model,
            "CLIP": self.clip,
            "VAE": lambda: self.vae,
            "UPSCALE_MODEL": self.upscale_model or (lambda: None),
            "CONDITIONING": lambda: random_conditioning(1, WIDTH),
            "IMAGE": lambda: self.image,
            "MASK": lambda: self.mask,
            "LATENT": lambda: self.latent,
            "SIGMAS": lambda: self.call("StrengthScheduler")[0],
            "SAMPLER": lambda: comfy.samplers.sampler_object("euler_ancestral"),
            "NOISE": lambda: self.call("SDEditNoise")[1],
            "IMG2IMG_INVERSION": lambda: self.call("DDIMInvert", cfg=1.0, keep_trajectory=True, method="corrected")[0],
            "IMG2IMG_PASSES": lambda: self.call("Img2ImgRefinePass", strength=0.4)[0],
            "IMG2IMG_FIT": lambda: self.call("Img2ImgFitImage")[2],
            "IMG2IMG_CROP": lambda: self.call("Img2ImgCropForMask")[2],
        }

    def arguments(self, node_id: str, **changed: Any) -> dict[str, Any]:
        """Arguments of a small call of a node: its required inputs, the defaults of its widgets, and what is changed.

        A changed value of `Ellipsis` connects something to an optional input.
        """
        found = {}
        for one in self.nodes[node_id].GET_SCHEMA().inputs:
            if one.id in changed and changed[one.id] is not ...:
                found[one.id] = changed[one.id]
            elif is_widget(one):
                found[one.id] = SMALL[one.id] if one.id in SMALL else default_of(one)
            elif not one.optional or one.id in changed:
                found[one.id] = self._fitting(node_id, one)
        return found

    def _fitting(self, node_id: str, one: Any) -> Any:
        """Something to connect to an input; to a few of them not just anything of its kind."""
        if (node_id, one.id) == ("Img2ImgUncropForMask", "image"):
            return self.call("Img2ImgCropForMask")[0]
        if (node_id, one.id) == ("Img2ImgUnfitImage", "image"):
            return self.call("Img2ImgFitImage")[0]
        if one.id == "negative":
            return random_conditioning(2, WIDTH)
        return self.socket(one.get_io_type())

    def call(self, node_id: str, **changed: Any) -> tuple[Any, ...]:
        """The outputs of a small call of a node; ``changed`` as for ``arguments``."""
        return self.nodes[node_id].execute(**self.arguments(node_id, **changed)).args


def small_world(
    nodes: dict[str, Any], family: str = "eps", dtype: torch.dtype = torch.float32, batch: int = 1
) -> World:
    """A world of random weights on whatever device ComfyUI believes in, and the folder for Folder Image."""
    _fill_folder()

    def clip() -> Any:
        return nodes["Img2ImgDemoCheckpoint"].execute("eps").args[1]

    # So its normalization works on groups of two channels, as real networks do on more: one in one cell has no spread.
    unet = FAMILIES[family].unet | {"context_dim": WIDTH, "model_channels": 64}
    model = random_model(family, unet=unet, dtype=dtype)
    return World(nodes, model, cache(clip), random_vae(), batch=batch)


def _fill_folder() -> None:
    folder = Path(folder_paths.get_input_directory()) / SMALL["folder"]
    folder.mkdir(exist_ok=True)
    Image.new("RGB", (SIDE, SIDE), "red").save(folder / "red.png")


def is_widget(one: Any) -> bool:
    """Whether an input of a schema has a value of its own, rather than only a socket."""
    return hasattr(one, "default")


def default_of(one: Any) -> Any:
    """The value that a widget starts with."""
    if one.default is None and hasattr(one, "options"):
        return one.options[0]
    return one.default


def options_of(nodes: dict[str, Any], node_id: str) -> Iterator[dict[str, Any]]:
    """What to change in a small call of a node, so that every option of it is met once; {} comes first."""
    yield {}
    for one in nodes[node_id].GET_SCHEMA().inputs:
        if one.id in ("rows", "columns"):
            values = "row_values" if one.id == "rows" else "column_values"
            other = (
                {"columns": "seed", "column_values": "1"} if one.id == "rows" else {"rows": "seed", "row_values": "1"}
            )
            yield from (
                other | {one.id: axis, values: text} | ({"clip": ...} if axis == "prompt" else {})
                for axis, text in AXES.items()
                if axis != "seed"
            )
        elif one.id == "sampler_name":
            yield from ({one.id: name} for name in ("euler_ancestral", "dpmpp_2m_sde", "lcm", "ddim", "res_multistep"))
        elif one.id == "scheduler":
            yield from ({one.id: name} for name in ("karras", "beta", "ddim_uniform"))
        elif one.get_io_type() == "COMBO":
            needed = {"mask": ...} if one.id == "mask_area" else {}
            yield from (needed | {one.id: value} for value in one.options if value != default_of(one))
        elif one.get_io_type() == "BOOLEAN":
            yield {one.id: not one.default}
        elif not is_widget(one) and one.optional:
            masked = (node_id, one.id) == ("Img2ImgUnfitImage", "mask")  # it says what of the original stays
            yield {one.id: ...} | ({"original": ...} if masked else {})
    yield from MORE_OPTIONS.get(node_id, [])


MORE_OPTIONS: dict[str, list[dict[str, Any]]] = {
    "SDEditNoise": [{"mask": ..., "masked_content": content} for content in ("fill", "noise", "neutral")],
    "ProgressiveRefine": [{"vae": ..., "match_colors": "latent", "mask": ...}],
    "Img2ImgAllInOne": [{"mask": ..., "fit": "pad"}, {"strength": 0.0}],
    "Img2ImgKeepUnmasked": [{"feather": 0}],
    "Img2ImgMatchColors": [{"mask": ..., "method": "histogram"}, {"mask": ..., "method": "monge_kantorovich"}],
    "Img2ImgPromptEdit": [{"find_mask": "use", "mask": ...}, {"finish": 0.5, "mask": ...}, {"source_cfg": 3.0}],
    "Img2ImgPromptSchedule": [{"blend": 0.5, "sigmas": ..., "model": ...}],
    "Img2ImgRestoreDetail": [{"vae": ..., "mask": ...}],
    "Img2ImgTiledRefine": [{"scale": 1.0, "mask": ...}],
    "VariationBatch": [{"variation": 0.3, "mask": ...}, {"strengths": "0.3, 0.6"}],
    "DDIMInvert": [{"cfg": 3.0, "negative": ..., "grade": True}],
}
"""Options that only act together."""
