"""Imports point one way: nodes -> host -> core. Rooms stay small enough to read at a sitting."""

import ast
import re
import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("core", "host", "nodes")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).glob("*.py"))
CORE_MAY = {"torch", "numpy", "PIL", "kornia", *sys.stdlib_module_names}
COMFYUI = {
    "aiohttp", "comfy", "comfy_api", "comfy_execution", "comfy_extras", "comfyui_version", "execution", "folder_paths",
    "latent_preview", "node_helpers", "nodes", "safetensors", "server",
}  # fmt: skip
OUTSIDE = {"core": CORE_MAY, "host": CORE_MAY | COMFYUI, "nodes": CORE_MAY | {"comfy_api"}}
INSIDE = {"core": r"\.core\..*", "host": r"\.(core|host)\..*", "nodes": r"\.core\..*|\.host|\.nodes\.inputs"}
EXCEPTIONS = {
    ("nodes", "__init__"): r"\.nodes\..*",  # the registry
    ("nodes", "all_in_one"): r"\.nodes\.(noise|sampling)",  # the functions behind the nodes of the chain
}
LONGEST_FILE, LONGEST_FUNCTION, MOST_PARAMETERS = 350, 45, 7


def imports(package, source):
    """Every module that a file imports, wherever in the file: "torch", or inside the pack ".core.noise" or ".host"."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]
        elif isinstance(node, ast.ImportFrom):
            module = "".join(
                f".{part}" for part in [*[package][: 2 - node.level], *(node.module or "").split(".")] if part
            )
            for alias in node.names:
                room = ROOT.joinpath(*module.split("."), alias.name)
                yield f"{module}.{alias.name}" if room.is_dir() or room.with_suffix(".py").is_file() else module


def broken_rules(package, name, source):
    """The imports of a file that the house does not allow."""
    allowed = f"{INSIDE[package]}|{EXCEPTIONS.get((package, name), '$')}"
    return sorted(
        module
        for module in set(imports(package, source))
        if not (re.fullmatch(allowed, module) if module.startswith(".") else module in OUTSIDE[package])
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_imports_point_one_way(path):
    assert broken_rules(path.parent.name, path.stem, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("package", "line", "broken"),
    [
        ("core", "import comfy.samplers", ["comfy"]),
        ("core", "from comfy_api.latest import io", ["comfy_api"]),
        ("core", "from ..host import sample", [".host"]),
        ("core", "def f():\n    import folder_paths", ["folder_paths"]),
        ("host", "from ..nodes.inputs import seed", [".nodes.inputs"]),
        ("host", "import requests", ["requests"]),
        ("nodes", "import comfy.utils", ["comfy"]),
        ("nodes", "import nodes", ["nodes"]),
        ("nodes", "from ..host.sampling import sample", [".host.sampling"]),
        ("nodes", "from .sampling import sample_latent", [".nodes.sampling"]),
        ("nodes", "from . import sampling", [".nodes.sampling"]),
        ("nodes", "from ..host import sample", []),
        ("nodes", "from .. import host\nfrom . import inputs\nfrom ..core import noise", []),
    ],
)
def test_a_line_that_breaks_the_rule_is_found(package, line, broken):
    assert broken_rules(package, "some_room", line) == broken


def test_no_rooms_lead_in_a_circle():
    leads_to = {}
    for path in FILES:
        found = {one for one in imports(path.parent.name, path.read_text(encoding="utf-8")) if one.startswith(".")}
        leads_to[f".{path.parent.name}.{path.stem}".removesuffix(".__init__")] = found
    done, on_the_way = set(), []

    def visit(room):
        assert room not in on_the_way, " -> ".join([*on_the_way, room])
        if room not in done:
            on_the_way.append(room)
            for other in leads_to.get(room, ()):
                visit(other)
            on_the_way.pop()
            done.add(room)

    for room in leads_to:
        visit(room)


def functions(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def test_rooms_and_functions_are_small():
    long = []
    for path in FILES:
        if len(path.read_text(encoding="utf-8").splitlines()) > LONGEST_FILE:
            long.append(f"{path.parent.name}/{path.name}")
        for function in functions(path):
            lines = function.end_lineno - function.lineno + 1
            if lines > LONGEST_FUNCTION and function.name != "define_schema":
                long.append(f"{path.parent.name}/{path.name} {function.name}: {lines} lines")
    assert long == []


def test_signatures_of_core_and_host_are_short_or_say_why():
    """A signature that ComfyUI dictates says so in its docstring."""
    wide = defaultdict(list)
    for path in FILES:
        if path.parent.name == "nodes":
            continue
        for function in functions(path):
            names = [one.arg for one in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
            count = len([name for name in names if name not in ("self", "cls")])
            if count > MOST_PARAMETERS and "its signature" not in (ast.get_docstring(function) or ""):
                wide[path.name].append((function.name, count))
    assert dict(wide) == {}


def test_the_face_of_the_host_defines_nothing():
    body = ast.parse((ROOT / "host" / "__init__.py").read_text(encoding="utf-8")).body
    assert all(isinstance(node, (ast.ImportFrom, ast.Expr, ast.Assign)) for node in body)
    imported = [alias.name for node in body if isinstance(node, ast.ImportFrom) for alias in node.names]
    (listed,) = [ast.literal_eval(node.value) for node in body if isinstance(node, ast.Assign)]
    assert sorted(imported) == sorted(listed)
    used = "".join(path.read_text(encoding="utf-8") for path in FILES if path.parent.name == "nodes")
    assert [name for name in listed if f"host.{name}" not in used] == []
