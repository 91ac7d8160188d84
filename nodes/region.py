"""CropForMask and UncropForMask: a small part painted at the model's full size."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from .. import host
from ..core.metrics import proof_outside
from ..core.region import Region, cut_out, plan_region, put_back
from ..core.report import Report
from ..core.seam import Blend
from . import inputs

CropInfo = io.Custom("IMG2IMG_CROP")


class CropForMask(io.ComfyNode):
    """The part of a picture under a mask, at the size the model likes."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return inputs.Schema(
            node_id="Img2ImgCropForMask",
            display_name="Inpaint Crop (around the mask)",
            category="img2img/mask",
            search_aliases=[
                "inpaint crop",
                "crop and stitch",
                "crop by mask",
                "mask detailer",
                "inpaint full resolution",
            ],
            folded=["multiple"],
            description="Cuts out what the mask shows, with its surroundings, at the size the model likes, so that a "
            "small part is painted in full detail. Inpaint Stitch puts it back.",
            inputs=[
                io.Image.Input("image", tooltip="The whole picture."),
                io.Mask.Input(
                    "mask",
                    tooltip="White where the picture may change. One box goes around all that is white. Several masks "
                    "for one picture give a part each, as a batch.",
                ),
                inputs.target(),
                inputs.context(),
                io.Int.Input(
                    "multiple",
                    default=8,
                    min=1,
                    max=256,
                    optional=True,
                    tooltip="Both sides become whole multiples of this. 8 suits SD1.5 and SDXL, 16 suits SD3, Flux "
                    "and Qwen-Image.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="image"),
                io.Mask.Output(display_name="mask", tooltip="The mask of the part, for the sampler."),
                CropInfo.Output(display_name="crop info", tooltip="Connect to Inpaint Stitch."),
            ],
        )

    @classmethod
    def execute(
        cls, image: torch.Tensor, mask: torch.Tensor, target: int, context: float, multiple: int = 8
    ) -> io.NodeOutput:
        region = plan_region(image, mask, target, context, multiple)
        return io.NodeOutput(*cut_out(image, region), region)


class UncropForMask(io.ComfyNode):
    """The painted part back at its place, without a seam."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return inputs.Schema(
            node_id="Img2ImgUncropForMask",
            display_name="Inpaint Stitch (uncrop)",
            category="img2img/mask",
            search_aliases=["inpaint stitch", "crop and stitch", "uncrop", "paste back", "seamless"],
            description="Puts a painted part back into the whole picture at its place and size, without a seam. "
            "The report counts the pixels that changed outside the mask.",
            inputs=[
                io.Image.Input("image", tooltip="The painted part, at the size Inpaint Crop gave it."),
                CropInfo.Input("crop_info", tooltip="From Inpaint Crop: where the part lies."),
                io.Image.Input("original", tooltip="The whole picture that went into Inpaint Crop."),
                inputs.blend("seamless"),
                io.Int.Input(
                    "feather",
                    default=8,
                    min=0,
                    max=512,
                    optional=True,
                    tooltip="Pixels that the part fades over outside the mask. Counts where blend is feather.",
                ),
            ],
            outputs=[io.Image.Output(display_name="image"), inputs.report()],
        )

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        crop_info: Region,
        original: torch.Tensor,
        blend: Blend = "seamless",
        feather: int = 8,
    ) -> io.NodeOutput:
        report = Report(host.versions())
        result, outside = put_back(image, crop_info, original, blend, feather)
        whole = original.expand(len(result), -1, -1, -1)
        facts = {"blend": blend, "feather": feather if blend == "feather" else 0} | crop_info.describe()
        text = report.text(**facts, **proof_outside(whole, result, outside))
        return io.NodeOutput(result, text, ui=host.words_panel(text))
