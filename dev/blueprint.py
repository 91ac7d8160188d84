"""Build a subgraph blueprint: a part of a workflow that ComfyUI's node library offers as one node.

ComfyUI reads `subgraphs/*.json` of a pack. Each is a workflow whose only node is a subgraph; what goes in and comes out
of it, and the widgets that it shows, are named by a description like those of the workflows.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .graph import NAMELESS, Graph, Node, Output, input_of

INPUTS, OUTPUTS = -10, -20  # the frontend's ids of a subgraph's two borders
BORDER_WIDTH = 120
NAMESPACE = uuid.UUID("5d2c6b3e-6a0c-4a38-9f0e-2d1b7a5f9c11")


@dataclass
class Blueprint(Graph):
    """A subgraph in the making; its nodes are added as to any graph.

    given, made: what goes in and comes out; the widgets that it shows go in last
    shown:       the values of these widgets
    """

    name: str = ""
    text: str = ""
    given: list[dict[str, Any]] = field(default_factory=list)
    made: list[dict[str, Any]] = field(default_factory=list)
    shown: list[Any] = field(default_factory=list)

    def take(self, **types: str) -> list[Output]:
        """What goes in, by name and type, in order."""
        first = len(self.given)
        self.given += [self._slot(name, kind, "in") for name, kind in types.items()]
        return [Output(INPUTS, first + place, kind) for place, kind in enumerate(types.values())]

    def give(self, **outputs: Output) -> None:
        """What comes out, by name."""
        for name, output in outputs.items():
            link = len(self.links) + 1
            self.links.append([link, output.node, output.slot, OUTPUTS, len(self.made), output.type])
            self._starts_at(output).append(link)
            self.made.append(self._slot(name, output.type, "out") | {"linkIds": [link]})

    def show(self, node: Node, *widgets: str) -> None:
        """Let the subgraph's node show these widgets of a node inside, below all that goes in.

        Each is an input of the subgraph, which holds whatever numbers the frontend gives to the nodes inside.
        """
        for widget in widgets:
            entry = input_of(node, widget)
            names = {slot["name"] for slot in self.given}
            name = next(name for name in _numbered(widget) if name not in names)
            label = {"label": node.data["title"]} if widget in NAMELESS else {}
            link = entry["link"] = len(self.links) + 1
            target = [node.data["id"], node.data["inputs"].index(entry)]
            self.links.append([link, INPUTS, len(self.given), *target, entry["type"]])
            self.given.append(self._slot(name, entry["type"], "in") | label | {"linkIds": [link]})
            self.shown.append(node.data["widgets_values_named"][widget])

    def to_json(self) -> dict[str, Any]:
        """The finished blueprint."""
        own = self._id("")
        node = {
            "id": 1,
            "type": own,
            "pos": [0, 0],
            "size": [320, 60 + 24 * self._wires() + 34 * len(self.shown)],
            "flags": {},
            "order": 0,
            "mode": 0,
            "inputs": [self._outside(place, slot) for place, slot in enumerate(self.given)],
            "outputs": [{"name": slot["name"], "type": slot["type"], "links": []} for slot in self.made],
            "properties": {},
            "widgets_values": self.shown,
            "title": self.name,
        }
        return {
            "id": self._id("workflow"),
            "revision": 0,
            "last_node_id": 1,
            "last_link_id": 0,
            "nodes": [node],
            "links": [],
            "groups": [],
            "definitions": {"subgraphs": [self._definition(own)]},
            "config": {},
            "extra": {"BlueprintDescription": self.text},
            "version": 0.4,
        }

    def _wires(self) -> int:
        """How many of its inputs are no widgets; they come first."""
        return len(self.given) - len(self.shown)

    def _outside(self, place: int, slot: dict[str, Any]) -> dict[str, Any]:
        """An input as the subgraph's node has it."""
        named = {key: slot[key] for key in ("name", "label", "type") if key in slot}
        return named | {"link": None} | ({"widget": {"name": slot["name"]}} if place >= self._wires() else {})

    def _definition(self, own: str) -> dict[str, Any]:
        right = max(group["bounding"][0] + group["bounding"][2] for group in self.groups)
        names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
        return {
            "id": own,
            "version": 1,
            "state": {
                "lastGroupId": len(self.groups),
                "lastNodeId": len(self.nodes),
                "lastLinkId": len(self.links),
                "lastRerouteId": 0,
            },
            "revision": 0,
            "config": {},
            "name": self.name,
            "category": "img2img",
            "description": self.text,
            "inputNode": {"id": INPUTS, "bounding": [-2 * BORDER_WIDTH, 60, BORDER_WIDTH, 40 + 20 * len(self.given)]},
            "outputNode": {
                "id": OUTPUTS,
                "bounding": [right + BORDER_WIDTH, 60, BORDER_WIDTH, 40 + 20 * len(self.made)],
            },
            "inputs": self.given,
            "outputs": self.made,
            "widgets": [],
            "nodes": [node.data for node in self.nodes],
            "groups": self.groups,
            "links": [dict(zip(names, link, strict=True)) for link in self.links],
            "extra": {},
        }

    def _starts_at(self, output: Output) -> list[int]:
        """The list of links that start where an output is: at a border, or at a node."""
        return self.given[output.slot]["linkIds"] if output.node == INPUTS else super()._starts_at(output)

    def _slot(self, name: str, kind: str, side: str) -> dict[str, Any]:
        return {"id": self._id(f"{side} {name}"), "name": name, "type": kind, "linkIds": []}

    def _id(self, what: str) -> str:
        """The same id at every build."""
        return str(uuid.uuid5(NAMESPACE, f"{self.name} {what}"))


def _numbered(name: str) -> Iterator[str]:
    """A name, then the same with a number, as the frontend counts."""
    yield name
    yield from (f"{name}_{number}" for number in itertools.count(1))
