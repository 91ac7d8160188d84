"""The shipped workflows: `python -m nox -s workflows` writes workflows/*.json and their thumbnails, `-- NAMES` some.

A function of the other files describes each of them. A file's name is the title that people read in the template
browser. The node schemas come from a running server, so that a workflow cannot fall behind them, and a test holds the
shipped files to what is built here.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import comfyui
from ..blueprint import Blueprint
from ..graph import Graph
from ..server import Server
from . import basics, cards, inversion, jobs, masks, refine, variations
from .blueprints import BLUEPRINTS
from .parts import CHECKPOINT, CONTROL_NET

__all__ = ["BLUEPRINTS", "CHECKPOINT", "CONTROL_NET", "WORKFLOWS", "build", "build_blueprint", "main"]

FOLDER = comfyui.ROOT / "workflows"
SUBGRAPHS = comfyui.ROOT / "subgraphs"

WORKFLOWS: dict[str, Callable[[Graph], None]] = {
    "Try it without a model": basics.try_without_a_model,
    "Image to image": basics.image_to_image,
    "All in one node": basics.all_in_one,
    "One picture at four strengths": basics.strength_sweep,
    "What strength means on this model": basics.strength_plot,
    "Keep the outlines with ControlNet": basics.with_controlnet,
    "Change the color of one thing": basics.change_one_object,
    "Enhance a photo": jobs.enhance,
    "Day to night": jobs.day_to_night,
    "Sketch to art": jobs.sketch_to_art,
    "Remove an object": masks.remove_object,
    "Inpaint": masks.inpaint,
    "Inpaint a small part": masks.small_part,
    "Soft mask": masks.soft_mask,
    "Outpaint": masks.outpaint,
    "Upscale four times": masks.upscale,
    "Edit by words": inversion.edit_by_words,
    "Keep what I did not ask to change": inversion.keep_what_i_did_not_ask,
    "Edit by inversion": inversion.edit_by_inversion,
    "Edit at high cfg with null-text": inversion.null_text,
    "Invert and reconstruct": inversion.invert_and_reconstruct,
    "Watch a picture become noise": inversion.watch_inversion,
    "Refine in passes": refine.progressive_refine,
    "Three passes with three prompts": refine.three_prompts_three_passes,
    "Two prompts in one run": refine.prompt_schedule,
    "Shapes first, then details": refine.two_samplers,
    "Repaint and keep the colors": refine.keep_the_colors,
    "Variations": variations.variations,
    "One picture in four styles": variations.styles,
    "Several products in one style": variations.products,
    "Strength against guidance": variations.strength_by_guidance,
    "Compare samplers": variations.compare_samplers,
    "A whole folder": variations.folder,
}


def build(name: str, object_info: dict[str, Any]) -> str:
    """The text of one workflow file."""
    graph = Graph(object_info)
    WORKFLOWS[name](graph)
    return json.dumps(graph.to_json(), indent=1, ensure_ascii=False) + "\n"


def build_blueprint(name: str, object_info: dict[str, Any]) -> str:
    """The text of one blueprint file; ASCII, because ComfyUI reads it in the encoding of its system."""
    describe = BLUEPRINTS[name]
    part = Blueprint(object_info, name=name, text=(describe.__doc__ or "").strip())
    describe(part)
    return json.dumps(part.to_json(), indent=1) + "\n"


def main() -> None:
    """Write every workflow with its thumbnail and every blueprint, or those that the command line names."""
    FOLDER.mkdir(exist_ok=True)
    names = sys.argv[1:] or [*WORKFLOWS, *BLUEPRINTS]
    with tempfile.TemporaryDirectory() as scratch, Server(comfyui.find(), Path(scratch), ["--cpu"]) as server:
        for name in names:
            (_write_blueprint if name in BLUEPRINTS else _write)(name, server)


def _write(name: str, server: Server) -> None:
    text = build(name, server.object_info)
    (FOLDER / f"{name}.json").write_text(text, encoding="utf-8", newline="\n")
    cards.thumbnail(name, json.loads(text), server).save(FOLDER / f"{name}.jpg", quality=85)
    print(f"Wrote workflows/{name}.json")


def _write_blueprint(name: str, server: Server) -> None:
    text = build_blueprint(name, server.object_info)
    (SUBGRAPHS / f"{name}.json").write_text(text, encoding="ascii", newline="\n")
    print(f"Wrote subgraphs/{name}.json")
