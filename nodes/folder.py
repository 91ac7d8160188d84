"""FolderImage: a folder of pictures, one for each queued run."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from .. import host
from ..core.noise import SEED_LIMIT
from . import inputs


class FolderImage(io.ComfyNode):
    """The next picture of a folder at every run."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return inputs.Schema(
            node_id="Img2ImgFolderImage",
            display_name="Batch Folder",
            category="img2img/image",
            search_aliases=[
                "batch folder",
                "load images from folder",
                "image directory",
                "batch process",
                "loop images",
            ],
            folded=["pattern", "saved_as"],
            description="Loads one picture of a folder at every queued run, the next one each time. Queue as many runs "
            "as there are pictures.",
            inputs=[
                io.String.Input(
                    "folder",
                    default="",
                    tooltip="A folder inside ComfyUI's input folder. Empty: the input folder itself.",
                ),
                io.Int.Input(
                    "index",
                    default=0,
                    min=0,
                    max=SEED_LIMIT - 1,
                    control_after_generate=True,
                    tooltip="Which picture, in the order of the names. Set it to increment, and each run takes "
                    "the next.",
                ),
                io.String.Input(
                    "pattern",
                    default="*",
                    tooltip="Only files with names like this, such as *.jpg or cat*.",
                ),
                io.Boolean.Input(
                    "skip_done",
                    default=False,
                    optional=True,
                    tooltip="Pass over pictures that have a result in ComfyUI's output folder, so that a long folder "
                    "goes on where it stopped. Results are known by the name output wired to Save Image.",
                ),
                io.String.Input(
                    "saved_as",
                    default="",
                    optional=True,
                    tooltip="For skip_done: what stands before the name in Save Image's filename_prefix, such as "
                    "edited/. Empty: the name alone.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="image"),
                io.Mask.Output(display_name="mask", tooltip="From its transparency: 1 where it is transparent."),
                io.String.Output(display_name="name", tooltip="The file's name without its ending, for saving."),
                io.Int.Output(display_name="count", tooltip="How many pictures the folder holds."),
            ],
        )

    @classmethod
    def fingerprint_inputs(
        cls, folder: str, index: int, pattern: str, skip_done: bool = False, saved_as: str = ""
    ) -> Any:
        pictures, _ = host.pictures_in(folder, pattern)
        if index >= len(pictures):
            return float("nan")
        done = skip_done and bool(host.with_result([pictures[index].stem], saved_as))
        return len(pictures), done, *host.file_state(pictures[index])

    @classmethod
    def execute(
        cls, folder: str, index: int, pattern: str, skip_done: bool = False, saved_as: str = ""
    ) -> io.NodeOutput:
        pictures, others = host.pictures_in(folder, pattern)
        if not pictures:
            place = folder or "the input folder"
            raise ValueError(f"folder: there is no picture like {pattern!r} in {place!r}. {host.left_out(others)}")
        count = len(pictures)
        if index >= count:
            over = f"The folder is done: {count} of {count}. Set index to 0 to begin again."
            return _nothing_to_do(over, host.left_out(others))
        path = pictures[index]
        place = f"{index + 1} of {count}: {path.name}"
        if skip_done and host.with_result([path.stem], saved_as):
            return _nothing_to_do(f"{place} has a result already and was skipped")
        try:
            image, mask = host.load_picture(path)
        except (OSError, SyntaxError, ValueError) as error:
            return io.NodeOutput(block_execution=f"{path.name} is broken and was skipped ({error})")
        return io.NodeOutput(image, mask, path.stem, count, ui=host.lines_panel(place))


def _nothing_to_do(*lines: str) -> io.NodeOutput:
    """The run ends well, without a picture."""
    return io.NodeOutput(*host.silence(len(FolderImage.GET_SCHEMA().outputs)), ui=host.lines_panel(*lines))
