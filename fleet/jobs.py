"""Cut a workflow into jobs, where the pack promises the bits of the whole: pictures, variations, styles and cells."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from .errors import FleetError
from .files import distinct_names, pictures_in, safe_name
from .needs import UPLOADS
from .server import Prompt
from .work import Upload
from .workflow import fitted, of_kind, places, split_values

GRID = "Img2ImgStrengthGrid"
AXES = ("strength", "cfg", "steps", "sampler", "scheduler", "seed", "prompt")
Edit = Callable[[Prompt], "Upload | None"]


@dataclass(frozen=True)
class Job:
    """One prompt.

    key:     hash of its content: jobs of one key make the same bits
    name:    what its results are called
    uploads: the pictures it loads
    fault:   why it cannot even begin, such as a picture that cannot be read
    """

    key: str
    name: str
    prompt: Prompt
    uploads: tuple[Upload, ...] = ()
    fault: str = ""


@dataclass(frozen=True)
class Cut:
    """One way to make a job of the workflow: what it is called, and the change to the prompt."""

    name: str
    edit: Edit


@dataclass(frozen=True)
class Wishes:
    """What a workflow is to be cut by.

    folder:     pictures, each for a job of its own; or one picture
    variations: how many, each for a job of its own; 0 leaves a Variation Batch as it is
    styles:     for Style Batch, each for a job of its own
    grid:       None leaves a Strength Grid as it is; otherwise its cells are jobs: those it names itself where the
                mapping is empty, else those of {input: values}; without such a node, the inputs are set as they are
    """

    folder: Path | None = None
    variations: int = 0
    styles: tuple[str, ...] = ()
    grid: Mapping[str, tuple[str, ...]] | None = None


class Plan:
    """The jobs of a run, made one after the other as they are needed. Raises FleetError for what cannot be cut."""

    def __init__(self, name: str, prompt: Prompt, wishes: Wishes) -> None:
        self.name, self.prompt = name, deepcopy(prompt)
        self.cuts = [
            cuts
            for cuts in (
                _by_picture(prompt, wishes.folder),
                _by_variation(prompt, wishes.variations),
                _by_style(prompt, wishes.styles),
                *_by_cell(self.prompt, wishes.grid),
            )
            if cuts
        ]

    def __len__(self) -> int:
        count = 1
        for cuts in self.cuts:
            count *= len(cuts)
        return count

    def __iter__(self) -> Iterator[Job]:
        """The jobs in order: a picture's stand together, so that no server needs many pictures at a time."""
        names: set[str] = set()
        for chosen in itertools.product(*self.cuts):
            job = self._job(chosen)
            if job.name.casefold() in names:  # "a_b" with "c", and "a" with "b_c"
                job = Job(job.key, f"{job.name}_{job.key[:8]}", job.prompt, job.uploads, job.fault)
            names.add(job.name.casefold())
            yield job

    def _job(self, chosen: Sequence[Cut]) -> Job:
        prompt = deepcopy(self.prompt)
        name = safe_name("_".join(cut.name for cut in chosen) or self.name)
        try:
            uploads = [cut.edit(prompt) for cut in chosen]
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            return Job(key_of({"unreadable": name}), name, prompt, fault=str(error))
        return Job(key_of(prompt), name, prompt, tuple(upload for upload in uploads if upload))


def key_of(prompt: Mapping[str, Any]) -> str:
    """64 hex digits that are the same for the same prompt, on every machine."""
    text = json.dumps(prompt, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _by_picture(prompt: Prompt, folder: Path | None) -> list[Cut]:
    if folder is None:
        return []
    pictures = pictures_in(folder)
    loaders = of_kind(prompt, "Img2ImgFolderImage") or of_kind(prompt, "LoadImage")
    if len(loaders) != 1:
        raise FleetError(
            f"--folder: the workflow has {len(loaders)} nodes that load a picture, and it is not clear which one is "
            "meant. Have one Batch Folder in it, or one Load Image."
            if loaders
            else "--folder: the workflow loads no picture. Have a Batch Folder or a Load Image in it."
        )
    stems = Counter(picture.stem.casefold() for picture in pictures)
    names = [
        f"{picture.stem}_{picture.suffix[1:]}" if stems[picture.stem.casefold()] > 1 else picture.stem
        for picture in pictures
    ]
    (number,) = loaders
    return [
        Cut(name, _Picture(number, path))
        for name, path in zip(distinct_names(map(safe_name, names)), pictures, strict=True)
    ]


class _Picture:
    """Load a picture; it is read and looked at once, when its first job is made."""

    def __init__(self, number: str, path: Path) -> None:
        self.number, self.path = number, path
        self.upload: Upload | None = None

    def __call__(self, prompt: Prompt) -> Upload:
        kind = prompt[self.number]["class_type"]
        self.upload = self.upload or _upload(self.path, keeps_name=kind == "Img2ImgFolderImage")
        inputs = prompt[self.number]["inputs"]
        if kind == "LoadImage":
            inputs["image"] = f"{self.upload.subfolder}/{self.upload.name}"
        else:
            inputs |= {"folder": self.upload.subfolder, "index": 0, "pattern": "*"}
        return self.upload


def _upload(path: Path, keeps_name: bool) -> Upload:
    """Where a picture goes on the servers: a name made of its content, so that one never takes another's place."""
    content = path.read_bytes()
    try:
        with Image.open(path) as picture:
            picture.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{str(path)!r} cannot be read as a picture ({error})") from error
    digest = hashlib.sha256(content).hexdigest()[:32]
    if keeps_name:
        return Upload(f"{UPLOADS}/{digest}", safe_name(path.stem) + path.suffix.lower(), str(path))
    return Upload(UPLOADS, digest + path.suffix.lower(), str(path))


def _by_variation(prompt: Prompt, count: int) -> list[Cut]:
    if not count:
        return []
    nodes = of_kind(prompt, "VariationBatch")
    if len(nodes) != 1:
        raise FleetError(f"--variations: the workflow has {len(nodes)} Variation Batch nodes, and one is needed.")
    ((number, node),) = nodes.items()
    seeds = node["inputs"].get("seeds", "")
    if not isinstance(seeds, str):
        raise FleetError("--variations: the seeds of Variation Batch come through a link; write them into the node")
    listed = _listed(seeds)
    if listed and count > len(listed):
        raise FleetError(f"--variations: {count} are wanted, but Variation Batch lists {len(listed)} seeds")
    digits = len(str(count - 1))
    return [Cut(f"v{place:0{digits}}", partial(_vary, number, place, listed)) for place in range(count)]


def _vary(number: str, place: int, listed: list[str], prompt: Prompt) -> None:
    """Make the variation at one place of the list, with the noise it has in the whole list."""
    inputs = prompt[number]["inputs"]
    inputs |= {"count": 1, "first_item": place, "batch_limit": 1}
    if listed:  # of a list, the node makes everything from first_item on
        inputs["seeds"] = ", ".join(listed[: place + 1])


def _listed(seeds: str) -> list[str]:
    """Seeds one by one, from "1, 5, 9..12"."""
    listed: list[str] = []
    for word in split_values(seeds):
        first, dots, last = word.partition("..")
        try:
            numbers = range(int(first), int(last) + 1) if dots else [int(word)]
        except ValueError:
            raise FleetError(f"--variations: the seeds of Variation Batch are not understood at {word!r}") from None
        listed += map(str, numbers)
    return listed


def _by_style(prompt: Prompt, styles: Sequence[str]) -> list[Cut]:
    if not styles:
        return []
    nodes = of_kind(prompt, "Img2ImgStyleBatch")
    if len(nodes) != 1:
        raise FleetError(f"--styles: the workflow has {len(nodes)} Style Batch nodes, and one is needed.")
    return [
        Cut(name, partial(_set, list(nodes), "styles", style))
        for name, style in zip(distinct_names(map(safe_name, styles)), styles, strict=True)
    ]


def _by_cell(prompt: Prompt, grid: Mapping[str, tuple[str, ...]] | None) -> list[list[Cut]]:
    """The two axes of a Strength Grid, which then saves its cells in place of its sheet; or inputs set as they are."""
    if grid is None:
        return []
    nodes = of_kind(prompt, GRID)
    if not nodes and grid:
        return [_by_value(prompt, name, values) for name, values in grid.items()]
    if len(nodes) != 1:
        raise FleetError(
            f"--grid: the workflow has {len(nodes)} Strength Grid nodes, and one is needed; or say what to set, such "
            "as --grid strength=0.3,0.6 cfg=4,7"
        )
    ((number, node),) = nodes.items()
    axes = _axes(node["inputs"], grid)
    _save_cells(prompt, number)
    return [
        [Cut(name, partial(_cell, number, side, axis, value)) for name, value in _named(axis, values)]
        for side, (axis, values) in zip(("row", "column"), axes.items(), strict=True)
    ]


def _axes(inputs: Mapping[str, Any], grid: Mapping[str, tuple[str, ...]]) -> dict[str, list[str]]:
    """The settings of rows and columns with their values."""
    if grid:
        unknown = [name for name in grid if name not in AXES]
        if unknown or len(grid) != 2:
            raise FleetError(f"--grid: a Strength Grid has two axes out of {', '.join(AXES)}; got {', '.join(grid)}")
        return {name: list(values) for name, values in grid.items()}
    axes = {}
    for side, place in (("row_values", "rows"), ("column_values", "columns")):
        text, axis = inputs[side], inputs[place]
        if not isinstance(text, str) or not isinstance(axis, str):
            raise FleetError(f"--grid: {side} of the Strength Grid comes through a link; write it into the node")
        values = text.splitlines() if axis == "prompt" else split_values(text)
        axes[axis] = [value.strip() for value in values if value.strip()]
    if len(axes) < 2:
        raise FleetError("--grid: both axes of the Strength Grid are the same setting; choose another for one of them")
    return axes


def _cell(number: str, side: str, axis: str, value: str, prompt: Prompt) -> None:
    prompt[number]["inputs"] |= {f"{side}s": axis, f"{side}_values": value}


def _save_cells(prompt: Prompt, number: str) -> None:
    """Have what is saved of the sheet be the cell itself, decoded as the node decodes it to show it."""
    vae = prompt[number]["inputs"]["vae"]
    decoder = str(max((int(name) for name in prompt if name.isdigit()), default=0) + 1)
    for node in prompt.values():
        node["inputs"] = {
            name: [decoder, 0] if value == [number, 0] else value for name, value in node["inputs"].items()
        }
    prompt[decoder] = {"class_type": "VAEDecode", "inputs": {"samples": [number, 1], "vae": vae}}


def _by_value(prompt: Prompt, name: str, values: Sequence[str]) -> list[Cut]:
    found = places(prompt, name)
    numbers = [number for number, node in prompt.items() if any(node is one for one, _ in found)]
    key = found[0][1]
    current = found[0][0]["inputs"][key]
    return [
        Cut(label, partial(_set, numbers, key, fitted(value, current, name))) for label, value in _named(key, values)
    ]


def _named(axis: str, values: Sequence[str]) -> list[tuple[str, str]]:
    """(file name part, value) for each value of an axis."""
    labels = [safe_name(value if axis == "prompt" else f"{axis}-{value}") for value in values]
    return list(zip(distinct_names(labels), values, strict=True))


def _set(numbers: Sequence[str], key: str, value: Any, prompt: Prompt) -> None:
    for number in numbers:
        prompt[number]["inputs"][key] = value
