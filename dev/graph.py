"""Build a workflow file (UI format 0.4) from a short description, against the node schemas of a running server.

A graph is made of columns, left to right, each of one or more groups with a title, and a group holds its nodes one
below the other, so nothing ever overlaps. Widgets that a description leaves out take the default of the schema.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from .comfyui import ROOT

WIDGET_TYPES = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
VERSION = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
PACK = {"cnr_id": "img2img-studio", "ver": VERSION[1] if VERSION else ""}
COMFYUI = {"cnr_id": "comfy-core", "ver": "0.3.75"}

# Lengths in the units of the canvas. Early frontends with Nodes 2.0 spread a workflow there, with all of its boxes,
# while what they draw in these keeps its size, and fold no inputs; below a certain zoom the classic canvas draws no
# texts.
SPREAD, LEGIBLE = 1.2, 0.572
SLOT, WIDGET, TEXT, BODY, UPLOAD = 20, 29, 62, 22, 18  # of nodes so spread
CLASSIC_WIDGET, CLASSIC_PANEL = 24, 30  # of the classic canvas: a widget, and what it adds to a panel
# Nodes 2.0 shows a picture as wide as the node; a square one is as high, too.
SHOWS_PICTURE = {"LoadImage", "SaveImage", "PreviewImage", "MaskPreview", "Img2ImgPromptMask", "Img2ImgAdjustMask"}
# What the pack shows in the bodies of its nodes: at least so high.
WORDS, BEFORE_AFTER = 56, 240
PANELS = {
    "StrengthScheduler": 220, "DDIMInvert": 124, "Img2ImgNullTextOptimize": 124, "VariationBatch": 330,
    "Img2ImgStrengthGrid": 320, "Img2ImgFolderImage": 74,
    "PreviewAny": 90,
    **dict.fromkeys(["Img2ImgGuidedSampler", "Img2ImgInversionSampler", "Img2ImgPromptEdit", "Img2ImgPromptMask",
                     "Img2ImgRestoreDetail", "Img2ImgUncropForMask", "Img2ImgAdjustMask"], WORDS),
    **dict.fromkeys(["Img2ImgAllInOne", "Img2ImgKeepUnmasked", "Img2ImgCompareImages", "Img2ImgTiledRefine",
                     "ProgressiveRefine", "SDEditNoise"], BEFORE_AFTER),
}  # fmt: skip
# Newer frontends with Nodes 2.0, which spread nothing, make these so high that they would reach the node below.
LEAST = {"SDEditNoise": 462, "StrengthScheduler": 430, "Img2ImgNullTextOptimize": 326, "Img2ImgStyleBatch": 214}
NOTE, LINE, LEAST_NOTE = 60, 20, 90  # a note without its lines, each of them, and the classic canvas's least
TITLE, GAP, MARGIN, COLUMN_GAP = 30, 20, 14, 20
BADGE = 20  # the pack's name above a node
# What the frontend's bars leave of a window of 1600 x 900 pixels, and where that begins.
VIEW, VIEW_CORNER = (1480, 770), (80, 112)
# Widgets whose names say nothing without their nodes: in an app they go by the title of the node.
NAMELESS = {"text", "value"}
# What the frontend does with a seed after a run; inverting the same picture again would only cost time.
KEEPS_ITS_SEED = {"DDIMInvert", "Img2ImgStrengthGrid"}
COLORS = {"group": "#3f789e", "note": "#432", "note_body": "#2d2415"}


@dataclass(frozen=True)
class Output:
    """An output slot of a node in the graph: what another node's input can be connected to."""

    node: int
    slot: int
    type: str


@dataclass
class Node:
    """A node in the graph; `node["SIGMAS"]` is its output of that name or type."""

    data: dict[str, Any]

    def __getitem__(self, name: str) -> Output:
        for slot, output in enumerate(self.data["outputs"]):
            if name in (output["name"], output["type"]):
                return Output(self.data["id"], slot, output["type"])
        raise KeyError(f"{self.data['type']} has no output {name!r}, only {[o['name'] for o in self.data['outputs']]}")


@dataclass
class Graph:
    """A workflow in the making. `object_info` holds the schemas of its nodes, as the server sends them."""

    object_info: dict[str, Any]
    nodes: list[Node] = field(default_factory=list)
    links: list[list[Any]] = field(default_factory=list)
    groups: list[dict[str, Any]] = field(default_factory=list)
    bottom: int = 0
    app: dict[str, Any] = field(default_factory=dict)

    def column(self, title: str, width: int = 300) -> None:
        """Start a new numbered group to the right of the last one; the nodes that are added next go into it."""
        last = self.groups[-1]["bounding"] if self.groups else [-COLUMN_GAP, 0, 0, 0]
        self._group(title, last[0] + last[2] + COLUMN_GAP, 0, width + 2 * MARGIN)

    def below(self, title: str, width: int = 0) -> None:
        """Start a new numbered group below the last one, as wide as that or as said."""
        left, _, as_wide, _ = self.groups[-1]["bounding"]
        self._group(title, left, self.bottom + MARGIN + COLUMN_GAP, width + 2 * MARGIN if width else as_wide)

    def beside(self, title: str, width: int) -> None:
        """Start a new numbered group to the right of the last one, at its height in the column."""
        left, top, taken, _ = self.groups[-1]["bounding"]
        self._group(title, left + taken + COLUMN_GAP, top, width + 2 * MARGIN)

    def as_app(self, inputs: list[tuple[Node, str]], outputs: list[Node]) -> None:
        """Name the widgets and the results that App Mode shows: ComfyUI's view of a workflow without its graph.

        It opens as a graph: the first frontends with App Mode would show every widget and note instead of these.
        """
        for node, name in inputs:
            if name in NAMELESS:
                input_of(node, name)["label"] = node.data["title"]
        chosen = [[str(node.data["id"]), name] for node, name in inputs]
        results = [str(node.data["id"]) for node in outputs]
        self.app = {"linearMode": False, "linearData": {"inputs": chosen, "outputs": results}}

    def _group(self, title: str, left: int, top: int, width: int) -> None:
        number = len(self.groups) + 1
        self.bottom = top + TITLE + BADGE - GAP
        look = {"color": COLORS["group"], "font_size": 24}
        self.groups.append({"id": number, "title": f"{number} · {title}", "bounding": [left, top, width, 0], **look})

    def add(self, kind: str, title: str | None = None, models: dict[str, str] | None = None, **values: Any) -> Node:
        """Add a node: each value is an Output to connect, or the value of a widget.

        models: the file that the node loads and where it can be had, as ComfyUI's own templates name it
        """
        schema = self.object_info[kind]
        inputs = {**schema["input"].get("required", {}), **schema["input"].get("optional", {})}
        unknown = values.keys() - inputs.keys()
        if unknown:
            raise KeyError(f"{kind} has no input {sorted(unknown)}, only {list(inputs)}")
        origin = PACK if schema["python_module"].startswith("custom_nodes.") else COMFYUI
        data = self._place(kind, title, _height(kind, inputs, len(schema["output"]), self._width()))
        data["properties"] = {"Node name for S&R": kind, **origin} | ({"models": [models]} if models else {})
        data["inputs"] = [
            self._input(data["id"], slot, name, spec, values)
            for slot, (name, spec) in enumerate(sorted(inputs.items(), key=lambda item: is_widget(item[1])))
        ]
        data["outputs"] = [
            {"name": name, "type": type_, "slot_index": slot, "links": []}
            for slot, (name, type_) in enumerate(zip(schema["output_name"], schema["output"], strict=True))
        ]
        widgets = {name: _widget_values(kind, name, spec, values) for name, spec in inputs.items() if is_widget(spec)}
        data["widgets_values"] = [value for saved in widgets.values() for value in saved]
        data["widgets_values_named"] = {name: saved[0] for name, saved in widgets.items()}
        self.nodes.append(Node(data))
        return self.nodes[-1]

    def note(self, text: str, height: int = 0) -> None:
        """Add a note for the reader, in Markdown, as high as it needs or as said."""
        shown = re.sub(r"\]\(.*?\)|[*`\[]", "", text)  # as it is read, without its markup
        lines = sum(len(paragraph) * 7 // (self._width() - 30) + 1 for paragraph in shown.split("\n"))
        height = height or max(NOTE + LINE * lines, LEAST_NOTE)
        data = self._place("MarkdownNote", None, height)
        colors = {"color": COLORS["note"], "bgcolor": COLORS["note_body"]}
        self.nodes.append(Node(data | {"inputs": [], "outputs": [], "widgets_values": [text]} | colors))

    def keep_seed(self, node: Node) -> None:
        """Let the frontend leave this node's seed as it is after a run."""
        values = node.data["widgets_values"]
        values[values.index("randomize")] = "fixed"

    def to_json(self) -> dict[str, Any]:
        """The finished workflow."""
        return {
            "last_node_id": len(self.nodes),
            "last_link_id": len(self.links),
            "nodes": [node.data for node in self.nodes],
            "links": self.links,
            "groups": self.groups,
            "config": {},
            "extra": {"ds": self._view()} | self.app,
            "version": 0.4,
        }

    def _view(self) -> dict[str, Any]:
        """The zoom at which a window of 1600 x 900 shows the whole graph and its texts, and the graph's place in it.

        Where it can be, it is shown whole when it is spread, too.
        """
        right = max(left + width for left, _, width, _ in (group["bounding"] for group in self.groups))
        bottom = max(top + height for _, top, _, height in (group["bounding"] for group in self.groups))
        fits = min(VIEW[0] / right, VIEW[1] / bottom, 1)
        scale = round(min(max(fits / SPREAD, LEGIBLE), fits), 3)
        return {"scale": scale, "offset": [round(corner / scale) for corner in VIEW_CORNER]}

    def _starts_at(self, output: Output) -> list[int]:
        """The list of links that start at an output."""
        return self.nodes[output.node - 1].data["outputs"][output.slot]["links"]

    def _width(self) -> int:
        """The width of the nodes in the current column."""
        return self.groups[-1]["bounding"][2] - 2 * MARGIN

    def _place(self, kind: str, title: str | None, height: int) -> dict[str, Any]:
        """A node's frame at the bottom of the current column, which grows to hold it."""
        group = self.groups[-1]["bounding"]
        top = self.bottom + GAP + TITLE
        self.bottom = top + height
        group[3] = self.bottom + MARGIN - group[1]
        number = len(self.nodes) + 1
        return {
            "id": number,
            "type": kind,
            "pos": [group[0] + MARGIN, top],
            "size": [self._width(), height],
            "flags": {},
            "order": number - 1,
            "mode": 0,
            "properties": {},
        } | ({"title": title} if title else {})

    def _input(self, node: int, slot: int, name: str, spec: list[Any], values: dict[str, Any]) -> dict[str, Any]:
        link = None
        value = values.get(name)
        if isinstance(value, Output):
            link = len(self.links) + 1
            self.links.append([link, value.node, value.slot, node, slot, value.type])
            self._starts_at(value).append(link)
        widget = {"widget": {"name": name}} if is_widget(spec) else {}
        return {"name": name, "type": _type(spec), "link": link} | widget


def input_of(node: Node, name: str) -> dict[str, Any]:
    """The entry of an input in a node."""
    return next(entry for entry in node.data["inputs"] if entry["name"] == name)


def _type(spec: list[Any]) -> str:
    """The type of an input; older nodes give a combo's list of options in its place."""
    return spec[0] if isinstance(spec[0], str) else "COMBO"


def is_widget(spec: list[Any]) -> bool:
    """Whether an input can be typed in the node, rather than only come through a wire."""
    options = spec[1] if len(spec) > 1 else {}
    return _type(spec) in WIDGET_TYPES and not options.get("forceInput")


def names_a_file(name: str) -> bool:
    """True for a choice among the user's own files, which this machine need not have."""
    return name in ("image", "ckpt_name", "control_net_name")


def _widget_values(kind: str, name: str, spec: list[Any], values: dict[str, Any]) -> list[Any]:
    """What the frontend saves for one input: its value, and what it adds to a seed or an upload."""
    options = spec[1] if len(spec) > 1 else {}
    choices = options.get("options") if isinstance(spec[0], str) else spec[0]
    default = options.get("default", choices[0] if choices else {"STRING": "", "BOOLEAN": False}.get(_type(spec), 0))
    value = values.get(name, default)
    if isinstance(value, Output):
        value = default
    elif choices and value not in choices and not names_a_file(name):
        raise ValueError(f"{name} cannot be {value!r}, only {choices}")
    companions = []
    if options.get("control_after_generate", name in ("seed", "noise_seed")):
        rolls = "fixed" if kind in KEEPS_ITS_SEED else "randomize"
        companions.append("increment" if name == "index" else rolls)
    if options.get("image_upload"):
        companions.append("image")
    return [value, *companions]


def _height(kind: str, inputs: dict[str, Any], outputs: int, width: int) -> int:
    """Room for the slots, the widgets, and what the node shows in its body."""
    widgets = [spec[1] if len(spec) > 1 else {} for spec in inputs.values() if is_widget(spec)]
    texts = sum(bool(options.get("multiline")) for options in widgets)
    unfolded = sum(not options.get("advanced") for options in widgets) - texts
    panel = PANELS.get(kind, 0)
    classic = CLASSIC_WIDGET * unfolded + panel + CLASSIC_PANEL * bool(panel)
    spread = WIDGET * (len(widgets) - texts) + round(panel / SPREAD)
    height = SLOT * max(len(inputs) - len(widgets), outputs) + max(classic, spread) + TEXT * texts + BODY
    height += UPLOAD * any(options.get("image_upload") for options in widgets)
    return max(height + width * (kind in SHOWS_PICTURE), LEAST.get(kind, 0))
