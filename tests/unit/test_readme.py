"""What the README says and shows is there."""

import ast
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from img2img_studio.core.preset import RECOMMENDATIONS

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINKS = sorted({unquote(link) for link in re.findall(r'(?:\]\(|src=")(?!https?:)([^)"#\s]+)', README)})


def test_the_two_commands_come_before_the_first_section():
    start = README[: README.index("\n## ")]
    for session in ("demo", "test"):
        assert f'python -m pip install "nox[uv]" && python -m nox -s {session}\n' in start


@pytest.mark.parametrize("link", LINKS)
def test_local_links_and_pictures_lead_somewhere(link):
    assert (ROOT / link).is_file()


@pytest.mark.parametrize("link", LINKS)
def test_what_it_links_to_is_in_the_published_archive(link):
    from pathspec import GitIgnoreSpec

    left_out = GitIgnoreSpec.from_lines((ROOT / ".comfyignore").read_text(encoding="utf-8").splitlines())
    assert not left_out.match_file(link)


def test_the_templates_are_the_shipped_ones():
    named = re.findall(r"^\| \*\*(.+?)\*\* \| .+ \|$", README, re.MULTILINE)
    assert sorted(named) == sorted(file.stem for file in (ROOT / "workflows").glob("*.json"))


def test_every_node_has_a_row_that_links_to_its_help_page():
    registry = ast.parse((ROOT / "nodes" / "__init__.py").read_text(encoding="utf-8"))
    names = next(
        ast.literal_eval(statement.value)
        for statement in registry.body
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "NODE_DISPLAY_NAME_MAPPINGS"
    )
    rows = re.findall(r"^\| \[(.+?)\]\(js/docs/(\w+)\.md\) \| .+ \|$", README, re.MULTILINE)
    assert {node: name for name, node in rows} == names


def test_the_recommended_settings_are_those_of_the_preset():
    rows = re.findall(r"^\| ([a-z ]+) \| ([\d.– ]+) \| ([\d.– ]+) \| ([\d–]+) \|$", README, re.MULTILINE)
    assert [row[0] for row in rows] == list(RECOMMENDATIONS)
    for use_case, *cells in rows:
        strength, cfg, steps = ([float(number) for number in re.findall(r"[\d.]+", cell)] for cell in cells)
        known = RECOMMENDATIONS[use_case]
        assert (strength[0], strength[-1]) == known.strength
        assert (cfg or None) == (known.cfg and sorted(set(known.cfg)))
        assert steps == ([known.steps] if known.steps else [])
