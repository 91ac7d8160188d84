"""The shipped workflows: `python -m nox -s workflows` writes workflows/*.json and their thumbnails, `-- NAMES` some.

A function of the other files describes each of them; there is one file for each shelf, a range of numbers. The node
schemas come from a running server, so that a workflow cannot fall behind them, and a test holds the shipped files to
what is built here.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from .. import comfyui
from ..api_prompt import in_the_toys_world, on_demo_checkpoint, savers, with_start_shown
from ..graph import Graph
from ..server import Server
from . import basics, inversion, masks, refine, variations
from .parts import CHECKPOINT, CONTROL_NET

__all__ = ["CHECKPOINT", "CONTROL_NET", "WORKFLOWS", "build", "main", "thumbnail"]

FOLDER = comfyui.ROOT / "workflows"
DRAWING = comfyui.ROOT / "demo" / "drawing.png"
HEIGHT = 256  # of the thumbnails, in pixels

WORKFLOWS: dict[str, Callable[[Graph], None]] = {
    "00_try_without_a_model": basics.try_without_a_model,
    "01_image_to_image": basics.image_to_image,
    "02_strength_sweep": basics.strength_sweep,
    "03_with_controlnet": basics.with_controlnet,
    "04_change_one_object": basics.change_one_object,
    "05_all_in_one": basics.all_in_one,
    "10_invert_and_reconstruct": inversion.invert_and_reconstruct,
    "11_edit_by_inversion": inversion.edit_by_inversion,
    "12_null_text": inversion.null_text,
    "13_edit_by_words": inversion.edit_by_words,
    "14_keep_what_i_did_not_ask": inversion.keep_what_i_did_not_ask,
    "20_progressive_refine": refine.progressive_refine,
    "21_three_prompts_three_passes": refine.three_prompts_three_passes,
    "22_prompt_schedule": refine.prompt_schedule,
    "23_keep_the_colours": refine.keep_the_colours,
    "30_variations": variations.variations,
    "31_styles": variations.styles,
    "32_strength_by_guidance": variations.strength_by_guidance,
    "33_compare_samplers": variations.compare_samplers,
    "34_folder": variations.folder,
    "40_inpaint": masks.inpaint,
    "41_soft_mask": masks.soft_mask,
    "42_outpaint": masks.outpaint,
    "43_upscale_4x": masks.upscale,
    "44_inpaint_a_small_part": masks.small_part,
}


def build(name: str, object_info: dict[str, Any]) -> str:
    """The text of one workflow file."""
    graph = Graph(object_info)
    WORKFLOWS[name](graph)
    return json.dumps(graph.to_json(), indent=1, ensure_ascii=False) + "\n"


def thumbnail(workflow: dict[str, Any], server: Server) -> Image.Image:
    """Run a workflow on the toy checkpoint: where it starts, and the pictures that it saves."""
    from ...core.sheet import labelled_row  # not above: `python -m dev.workflows` first imports this file by itself

    prompt = on_demo_checkpoint(server.to_prompt(workflow))
    prompt, start = with_start_shown(in_the_toys_world(prompt, server.upload(DRAWING)))
    run = server.run(prompt)
    results = [picture for node in savers(prompt) for picture in server.images(run, node)]
    labels = ["input"] + ["toy model"] * len(results)
    return labelled_row([*server.images(run, start), *results], labels, HEIGHT, centered=True)


def main() -> None:
    """Write every workflow and its thumbnail, or those that the command line names."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, Server(comfyui.find(), Path(scratch), ["--cpu"]) as server:
        for name in sys.argv[1:] or WORKFLOWS:
            text = build(name, server.object_info)
            (FOLDER / f"{name}.json").write_text(text, encoding="utf-8", newline="\n")
            thumbnail(json.loads(text), server).save(FOLDER / f"{name}.jpg", quality=85)
            print(f"Wrote workflows/{name}.json")
