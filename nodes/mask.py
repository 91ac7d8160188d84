"""KeepUnmasked, OutpaintCanvas and AdjustMask: what may change, and what must not."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from .. import host
from ..core.checks import check_masks_fit
from ..core.fit import FILLS, Borders, Size, apply_fit, plan_canvas, size_in_words
from ..core.mask import blurred, composite, grown, resized_mask, soften_outwards, without_holes
from ..core.metrics import proof_outside
from ..core.placing import beside
from ..core.report import Report
from ..core.seam import Blend, seamless
from . import inputs

FEATHER_LIMIT, GROW_LIMIT, BLUR_LIMIT = 512, 512, 256


def _feather(tooltip: str) -> io.Int.Input:
    return io.Int.Input("feather", default=0, min=0, max=FEATHER_LIMIT, tooltip=tooltip)


class KeepUnmasked(io.ComfyNode):
    """Put the original back where the mask is black, and prove it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return inputs.Schema(
            node_id="Img2ImgKeepUnmasked",
            display_name="Inpaint: Keep Unmasked",
            category="img2img/mask",
            search_aliases=[
                "inpaint",
                "composite",
                "inpaint paste",
                "restore unmasked",
                "stitch",
                "mask proof",
                "blend back",
                "seamless clone",
                "poisson blend",
                "fix seam",
            ],
            description="Takes the edited picture under the mask and the original everywhere else, to the bit. The "
            "report counts the pixels that changed.",
            inputs=[
                io.Image.Input("original", tooltip="The picture before editing."),
                io.Image.Input("edited", tooltip="The picture after editing, at the same size."),
                io.Mask.Input("mask", tooltip="White where the edit may show, black where the original must stay."),
                _feather(
                    "Fade the edit out over so many pixels outside the mask. 0: a hard edge, nothing outside changes. "
                    "Counts where blend is feather."
                ),
                inputs.blend("feather"),
            ],
            outputs=[io.Image.Output(display_name="image"), inputs.report()],
        )

    @classmethod
    def execute(
        cls, original: torch.Tensor, edited: torch.Tensor, mask: torch.Tensor, feather: int, blend: Blend = "feather"
    ) -> io.NodeOutput:
        report = Report(host.versions())
        base, change = _pair(original, edited)
        check_masks_fit("mask", mask, len(change))
        hard = resized_mask(beside(base, mask), *change.shape[1:3]).clamp(0, 1)
        feather = feather if blend == "feather" else 0
        alpha = soften_outwards(hard, feather).expand(len(change), -1, -1)
        result = seamless(base, change, hard) if blend == "seamless" else composite(alpha[..., None], base, change)
        proof = proof_outside(base, result, alpha == 0)
        text = report.text(blend=blend, feather=feather, **proof)
        return io.NodeOutput(_with_alpha(result, original), text, ui=host.before_after_panel(text, base, result))


def _pair(original: torch.Tensor, edited: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Both pictures without transparency, the original repeated for every edited one."""
    if original.shape[1:3] != edited.shape[1:3] or len(original) not in (1, len(edited)):
        raise ValueError(
            f"edited: it is {size_in_words(edited)}, but the original is {size_in_words(original)}; bring both to one "
            f"size, with Fit Image before the VAE and Unfit Image after it"
        )
    return original[..., :3].expand(len(edited), -1, -1, -1), edited[..., :3].to(original)


def _with_alpha(result: torch.Tensor, original: torch.Tensor) -> torch.Tensor:
    return torch.cat([result, original[..., 3:].expand(len(result), -1, -1, -1)], dim=-1)


class OutpaintCanvas(io.ComfyNode):
    """A larger canvas around a picture, and the mask of what is new."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        def side(name: str, default: int) -> io.Int.Input:
            return io.Int.Input(name, default=default, min=0, max=8192, tooltip=f"Pixels to add: {name}.")

        return inputs.Schema(
            node_id="Img2ImgOutpaintCanvas",
            display_name="Outpaint Canvas",
            category="img2img/mask",
            search_aliases=["outpaint", "pad image for outpainting", "extend image", "uncrop", "expand canvas"],
            folded=["multiple"],
            description="Adds room on any side of a picture, filled with something plausible, and gives the mask of "
            "the new part, for inpainting at a strength of 0.7 to 0.9.",
            inputs=[
                io.Image.Input("image", tooltip="The picture to extend."),
                side("left", 0),
                side("top", 0),
                side("right", 128),
                side("bottom", 0),
                _feather("Let the mask reach softly into the old picture by so many pixels. 0: the old picture stays."),
                io.Combo.Input(
                    "fill",
                    options=[fill for fill in FILLS if fill != "black"],
                    tooltip="What the new part is made of before painting: the nearest pixel, a mirror image, or the "
                    "mean color.",
                ),
                io.Int.Input(
                    "multiple",
                    default=8,
                    min=1,
                    max=256,
                    optional=True,
                    tooltip="Both sides become whole multiples of this; the sides that grow take the rest.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="image"),
                io.Mask.Output(display_name="mask", tooltip="1 on the new part, 0 on the old picture."),
            ],
        )

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        left: int,
        top: int,
        right: int,
        bottom: int,
        feather: int,
        fill: str,
        multiple: int = 8,
    ) -> io.NodeOutput:
        plan = plan_canvas(Size(*image.shape[1:3]), Borders(left, top, right, bottom), multiple, fill)
        canvas, mask = apply_fit(image, plan)
        return io.NodeOutput(canvas, soften_outwards(mask, feather))


class AdjustMask(io.ComfyNode):
    """Grow, shrink, blur a mask, and fill its holes."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return inputs.Schema(
            node_id="Img2ImgAdjustMask",
            display_name="Adjust Mask (grow, blur, fill)",
            category="img2img/mask",
            search_aliases=[
                "grow mask",
                "expand mask",
                "shrink mask",
                "erode mask",
                "dilate mask",
                "blur mask",
                "feather mask",
                "fill mask holes",
                "mask preview",
            ],
            description="Makes a mask wider or narrower, fills its holes and softens its border, and shows the result.",
            inputs=[
                io.Mask.Input("mask", tooltip="White where the picture may change."),
                io.Int.Input(
                    "grow",
                    default=8,
                    min=-GROW_LIMIT,
                    max=GROW_LIMIT,
                    tooltip="Widen the white by so many pixels, so that nothing of the old thing shows at its edge. "
                    "Below 0: make it narrower.",
                ),
                io.Int.Input(
                    "blur",
                    default=0,
                    min=0,
                    max=BLUR_LIMIT,
                    tooltip="Soften the border over so many pixels on each side. 0: a hard mask, whose outside can be "
                    "kept to the bit with a seamless blend. Gray is a strength for each pixel.",
                ),
                io.Boolean.Input(
                    "fill_holes",
                    default=False,
                    tooltip="Make white what lies inside a ring of white: draw around a thing to mask all of it. Comes "
                    "before grow.",
                ),
            ],
            outputs=[io.Mask.Output(display_name="mask"), inputs.report()],
        )

    @classmethod
    def execute(cls, mask: torch.Tensor, grow: int, blur: int, fill_holes: bool) -> io.NodeOutput:
        report = Report(host.versions())
        given = mask.reshape(-1, *mask.shape[-2:])
        adjusted = blurred(grown(without_holes(given) if fill_holes else given, grow), blur)
        text = report.text(grow=grow, blur=blur, fill_holes=fill_holes, share=float(adjusted.mean()))
        return io.NodeOutput(adjusted, text, ui=host.mask_panel(adjusted, text))
