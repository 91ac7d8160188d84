"""What the README says and shows is there."""

import ast
import re
from pathlib import Path

import pytest
from img2img_studio.core.preset import RECOMMENDATIONS

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_two_commands_come_before_the_first_section():
    start = README[: README.index("\n## ")]
    for session in ("demo", "test"):
        assert f'python -m pip install "nox[uv]" && python -m nox -s {session}\n' in start


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!https?:)([^)#\s]+)", README))))
def test_local_links_and_pictures_lead_somewhere(link):
    assert (ROOT / link).is_file()


def test_the_workflows_are_the_shipped_ones():
    named = set(re.findall(r"`(\d\d_\w+)`", README))
    assert named == {file.stem for file in (ROOT / "workflows").glob("*.json")}


def test_every_node_has_its_section():
    registry = ast.parse((ROOT / "nodes" / "__init__.py").read_text(encoding="utf-8"))
    names = next(
        ast.literal_eval(statement.value)
        for statement in registry.body
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "NODE_DISPLAY_NAME_MAPPINGS"
    )
    sections = [name for heading in re.findall(r"^### (.+)$", README, re.MULTILINE) for name in heading.split(" and ")]
    assert set(names.values()) <= set(sections)


def test_the_recommended_settings_are_those_of_the_preset():
    rows = re.findall(r"^\| ([a-z ]+) \| ([\d.– ]+) \| ([\d.– ]+) \| ([\d–]+) \|$", README, re.MULTILINE)
    assert [row[0] for row in rows] == list(RECOMMENDATIONS)
    for use_case, *cells in rows:
        strength, cfg, steps = ([float(number) for number in re.findall(r"[\d.]+", cell)] for cell in cells)
        known = RECOMMENDATIONS[use_case]
        assert (strength[0], strength[-1]) == known.strength
        assert (cfg or None) == (known.cfg and sorted(set(known.cfg)))
        assert steps == ([known.steps] if known.steps else [])
