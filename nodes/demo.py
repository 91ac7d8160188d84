"""DemoCheckpoint: a tiny checkpoint that ships with the pack, to try it without a download."""

from __future__ import annotations

from pathlib import Path

from comfy_api.latest import io
from PIL import Image

from .. import host
from ..core.sheet import from_pillow
from . import inputs

FOLDER = Path(__file__).parent.parent / "demo"
FAMILIES = ("eps", "flow")
EXAMPLES = {"red house": "drawing.png", "red car": "car.png"}


class DemoCheckpoint(io.ComfyNode):
    """A toy model for first tries."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return inputs.Schema(
            node_id="Img2ImgDemoCheckpoint",
            display_name="Demo Checkpoint (a toy)",
            category="img2img/demo",
            search_aliases=["checkpoint", "load checkpoint", "example model", "tiny model", "test model"],
            description="A toy model of a small painted world: houses, trees, boats and cars, by day, at sunset and at "
            "night, in three seasons and five styles, at 128 x 128 pixels. For trying the pack before any download.",
            inputs=[
                io.Combo.Input(
                    "family",
                    options=[*FAMILIES, *host.saved_demo_checkpoints()],
                    tooltip="How the model was trained. eps: with the noise levels of Stable Diffusion 1.5. "
                    "flow: as rectified flow, like SD3 and Flux. A toy that you have saved with CheckpointSave "
                    "stands in this list as well.",
                ),
                io.Combo.Input(
                    "example",
                    options=list(EXAMPLES),
                    optional=True,
                    tooltip="The drawing to start from. red house: 128 x 128, for the toy. red car: 512 x 512, for any "
                    "model.",
                ),
            ],
            outputs=[
                io.Model.Output(display_name="model"),
                io.Clip.Output(display_name="clip"),
                io.Vae.Output(display_name="vae"),
                io.Image.Output(
                    display_name="example", tooltip="A drawing the model has never seen, as a first input."
                ),
            ],
        )

    @classmethod
    def execute(cls, family: str, example: str = "red house") -> io.NodeOutput:
        load = host.load_saved_demo_checkpoint
        models = host.load_demo_checkpoint(FOLDER, family) if family in FAMILIES else load(family)
        return io.NodeOutput(*models, from_pillow(Image.open(FOLDER / EXAMPLES[example])))
