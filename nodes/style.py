"""StyleBatch: one prompt for each style."""

from __future__ import annotations

from comfy_api.latest import io

from .. import host
from ..core.text import parse_styles
from . import inputs

STYLES = """oil painting
watercolor
pencil sketch
anime, manga
pixel art
impressionism
charcoal drawing
3d render"""
TEMPLATE = "{style}, masterpiece, detailed, high quality"


class StyleBatch(io.ComfyNode):
    """Run everything after it once for each style."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return inputs.Schema(
            node_id="Img2ImgStyleBatch",
            display_name="Style Batch",
            category="img2img/conditioning",
            search_aliases=["style transfer", "styles", "prompt list", "prompt matrix", "batch prompts"],
            description="Makes one prompt for each line. Everything after it runs once for each of them, and the "
            "style's name goes along for file names.",
            inputs=[
                io.Clip.Input("clip", tooltip="The text encoder of the model."),
                io.String.Input("styles", default=STYLES, multiline=True, tooltip="One style on each line."),
                io.String.Input(
                    "template",
                    default=TEMPLATE,
                    multiline=True,
                    tooltip="The whole prompt, with {style} where the style goes.",
                ),
            ],
            outputs=[
                io.Conditioning.Output(display_name="conditioning", is_output_list=True, tooltip="One for each style."),
                io.String.Output(display_name="styles", is_output_list=True, tooltip="Their names, for file names."),
            ],
        )

    @classmethod
    def validate_inputs(cls, styles: str | None = None, template: str | None = None) -> bool:
        if styles is not None and template is not None:
            parse_styles(styles, template)  # raises: what is returned, ComfyUI says once for each of these inputs
        return True

    @classmethod
    def execute(cls, clip: io.Clip.Type, styles: str, template: str) -> io.NodeOutput:
        prompts = parse_styles(styles, template)
        return io.NodeOutput([host.encode_text(clip, prompt) for _, prompt in prompts], [style for style, _ in prompts])
