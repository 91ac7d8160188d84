"""Build a subgraph blueprint: a part of a workflow that ComfyUI's node library offers as one node.

ComfyUI reads `subgraphs/*.json` of a pack. Each is a workflow whose only node is a subgraph; what goes in and comes out
of it, and the widgets that it shows, are named by a description like those of the workflows.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from .graph import Graph, Node, Output

INPUTS, OUTPUTS = -10, -20  # the frontend's ids of a subgraph's two borders
BORDER_WIDTH = 120
NAMESPACE = uuid.UUID("5d2c6b3e-6a0c-4a38-9f0e-2d1b7a5f9c11")


@dataclass
class Blueprint(Graph):
    """A subgraph in the making; its nodes are added as to any graph."""

    name: str = ""
    text: str = ""
    given: list[dict[str, Any]] = field(default_factory=list)
    made: list[dict[str, Any]] = field(default_factory=list)
    shown: list[list[str]] = field(default_factory=list)

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
        """Let the subgraph's node show these widgets of a node inside."""
        self.shown += [[str(node.data["id"]), name] for name in widgets]

    def to_json(self) -> dict[str, Any]:
        """The finished blueprint."""
        own = self._id("")
        node = {
            "id": 1,
            "type": own,
            "pos": [0, 0],
            "size": [320, 60 + 24 * len(self.given) + 34 * len(self.shown)],
            "flags": {},
            "order": 0,
            "mode": 0,
            "inputs": [{"name": slot["name"], "type": slot["type"], "link": None} for slot in self.given],
            "outputs": [{"name": slot["name"], "type": slot["type"], "links": []} for slot in self.made],
            "properties": {"proxyWidgets": self.shown},
            "widgets_values": [],
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
