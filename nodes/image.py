"""FitImage, UnfitImage and MatchColors: a picture's size and colors."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ..core.checks import check_masks_fit
from ..core.color import METHODS, match_colors
from ..core.fit import FILLS, FITS, SHAPES, Fit, apply_fit, fit_mask, keep_outside_mask, plan_fit, undo_fit
from . import inputs


class FitImage(io.ComfyNode):
    """Bring a picture to a size the model likes."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return inputs.Schema(
            node_id="Img2ImgFitImage",
            display_name="Fit Image (resize)",
            category="img2img/image",
            search_aliases=["resize", "resolution", "letterbox", "pad image", "crop image", "resize and fill"],
            folded=["multiple"],
            description="Scales, pads or crops a picture to a size the model likes. Unfit Image takes it back.",
            inputs=[
                io.Image.Input("image", tooltip="The picture or batch of pictures to bring to size."),
                io.Int.Input(
                    "target",
                    default=512,
                    min=0,
                    max=16384,
                    tooltip="Length of the longer side in pixels; with shape 'square' the length of both sides. "
                    "512 suits SD1.5, 1024 suits SDXL, SD3 and Flux. 0 keeps the picture's own scale.",
                ),
                io.Combo.Input(
                    "fit",
                    options=list(FITS),
                    tooltip="pad: keep everything and add borders. crop: cut the borders off, evenly on both sides. "
                    "stretch: distort the picture to fill the size.",
                ),
                io.Combo.Input(
                    "shape",
                    options=list(SHAPES),
                    tooltip="keep aspect: as wide for its height as before. square: target x target.",
                ),
                io.Int.Input(
                    "multiple",
                    default=8,
                    min=1,
                    max=256,
                    tooltip="Both sides become whole multiples of this: pad rounds up, crop rounds down, stretch "
                    "takes the nearest. 8 suits SD1.5 and SDXL, 16 suits SD3, Flux and Qwen-Image.",
                ),
                io.Combo.Input(
                    "fill",
                    options=list(FILLS),
                    tooltip="What the padding is made of: the nearest pixel, a mirror image, the picture's mean "
                    "color, or black.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="A mask of the picture, to be brought to the same place and size. The padding becomes part "
                    "of it: it may change.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="image"),
                io.Mask.Output(display_name="padding mask", tooltip="1 on the padding, 0 on the picture."),
                inputs.FitInfo.Output(display_name="fit info", tooltip="Connect to Unfit Image."),
                io.Mask.Output(
                    display_name="mask", tooltip="The mask that came in, fitted like the picture; white without one."
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        target: int,
        fit: str,
        shape: str,
        multiple: int,
        fill: str,
        mask: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        plan = plan_fit(image.shape[1], image.shape[2], target, fit, shape, multiple, fill)
        fitted, padding = apply_fit(image, plan)
        fitted_mask = torch.ones_like(padding) if mask is None else fit_mask(mask, plan)
        return io.NodeOutput(fitted, padding, plan, fitted_mask)


class UnfitImage(io.ComfyNode):
    """Take a fitted picture back to its first size."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return inputs.Schema(
            node_id="Img2ImgUnfitImage",
            display_name="Unfit Image (restore size)",
            category="img2img/image",
            search_aliases=["unpad", "uncrop", "restore size", "resize back"],
            description="Undoes Fit Image: takes the padding off, scales back, and puts cut borders back in place.",
            inputs=[
                io.Image.Input("image", tooltip="The picture after sampling, at the size Fit Image gave it."),
                inputs.FitInfo.Input("fit_info", tooltip="From Fit Image: what was done to the picture."),
                io.Image.Input(
                    "original",
                    optional=True,
                    tooltip="The picture that went into Fit Image. After a crop its borders come back from here; "
                    "without it they repeat the nearest pixel.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Only where it is white does the result show; everywhere else is the original, bit for "
                    "bit. The mask of the original or the one from Fit Image. Needs original.",
                ),
            ],
            outputs=[io.Image.Output(display_name="image")],
        )

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        fit_info: Fit,
        original: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        result = undo_fit(image, fit_info, original)
        if mask is None:
            return io.NodeOutput(result)
        if original is None:
            raise ValueError("original: it is not connected, so nothing is there to keep outside the mask; connect it")
        check_masks_fit("mask", mask, len(result))
        return io.NodeOutput(keep_outside_mask(result, fit_info, mask, original))


class MatchColors(io.ComfyNode):
    """Give a picture the colors of another one."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return inputs.Schema(
            node_id="Img2ImgMatchColors",
            display_name="Match Colors",
            category="img2img/image",
            search_aliases=["color match", "color transfer", "colour correction", "match histogram", "fix colors"],
            description="Gives a picture the colors of a reference, for instance those it had before it was repainted.",
            inputs=[
                io.Image.Input("image", tooltip="The picture whose colors change."),
                io.Image.Input("reference", tooltip="The picture whose colors it gets."),
                io.Combo.Input(
                    "method",
                    options=list(METHODS),
                    tooltip="lab_mean_std: overall tone and contrast, gentle. histogram: each channel's distribution, "
                    "strong. monge_kantorovich: tone, contrast and how the colors go together.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="0 leaves the colors as they are, 1 matches.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Only colors under the white part count and change. In a reference of the same size, too, "
                    "only that part counts.",
                ),
            ],
            outputs=[io.Image.Output(display_name="image")],
        )

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        reference: torch.Tensor,
        method: str,
        strength: float,
        mask: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        return io.NodeOutput(match_colors(image, reference, method, strength, mask))
