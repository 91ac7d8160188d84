"""RestoreDetail: give an edited picture the original's grain and edges back."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from .. import host
from ..core.checks import check_masks_fit, check_pictures_fit
from ..core.mask import resized_mask
from ..core.placing import beside
from ..core.report import Report
from ..core.restore import restore_detail
from . import inputs

LONGEST_RADIUS = 128


class RestoreDetail(io.ComfyNode):
    """Carry what an edit changed over to the original."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return inputs.Schema(
            node_id="Img2ImgRestoreDetail",
            display_name="Restore Detail",
            category="img2img/image",
            search_aliases=["detail transfer", "restore detail", "keep texture", "grain", "high frequency", "vae loss"],
            description="Carries what an edit changed over to the original picture, so that grain and edges are the "
            "original's. Behind any edit, of any model. Not for edits of style, which are about grain and edges.",
            inputs=[
                io.Image.Input("original", tooltip="The picture before editing."),
                io.Image.Input("edited", tooltip="The picture after editing, at the same size."),
                io.Vae.Input(
                    "vae",
                    optional=True,
                    tooltip="The VAE the edit went through: with it, what the VAE alone lost is told from the edit.",
                ),
                io.Image.Input(
                    "restored_from",
                    optional=True,
                    tooltip="In place of vae: the original encoded and decoded again. Without both, the original.",
                ),
                io.Int.Input(
                    "radius",
                    default=0,
                    min=0,
                    max=LONGEST_RADIUS,
                    optional=True,
                    tooltip="Pixels around each spot that are compared. 0: a sixteenth of the shorter side.",
                ),
                inputs.mask(),
            ],
            outputs=[io.Image.Output(display_name="image"), inputs.report()],
        )

    @classmethod
    def execute(
        cls,
        original: torch.Tensor,
        edited: torch.Tensor,
        vae: io.Vae.Type | None = None,
        restored_from: torch.Tensor | None = None,
        radius: int = 0,
        mask: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        report = Report(host.versions())
        edited, restored_from, mask = beside(original, edited, restored_from, mask)
        check_pictures_fit("original", original, len(edited))
        before, after = original[..., :3].expand(len(edited), -1, -1, -1), edited[..., :3]
        decoded = _decoded(before, vae, restored_from).to(before)
        radius = radius or max(1, min(LONGEST_RADIUS, min(before.shape[1:3]) // 16))
        if mask is not None:
            check_masks_fit("mask", mask, len(before))
        shown = None if mask is None else resized_mask(mask, *before.shape[1:3])
        restored = restore_detail(before, after, decoded, radius, shown)
        shares = {"kept": float(restored.kept.mean()), "stands": float(restored.stands.mean())}
        fitted = 1.0 - shares["kept"] - shares["stands"]
        text = report.text(radius=radius, fitted=fitted, **shares)
        return io.NodeOutput(restored.image, text, ui=host.words_panel(text))


def _decoded(before: torch.Tensor, vae: io.Vae.Type | None, restored_from: torch.Tensor | None) -> torch.Tensor:
    """The original as the VAE gives it back, from the input or made here; without a VAE, the original itself."""
    if restored_from is not None:
        check_pictures_fit("restored_from", restored_from, len(before))
        return restored_from[..., :3].expand(len(before), -1, -1, -1)
    return before if vae is None else host.decode(vae, host.encode(vae, before))
