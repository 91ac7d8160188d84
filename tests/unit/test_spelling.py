"""One spelling, American as ComfyUI's: in what artists read and in what developers read."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ISE = "normal optim initial recogn random minim maxim visual general styl summar organ emphas custom serial special"
BRITISH = re.compile(
    r"colour|grey|centre|centring|neighbour|favour|behaviour|flavour|labell(?:ed|ing)|modell(?:ed|ing)|travell|"
    r"(?<!\.)cancelled(?!error)|licence|artefact|judgement|whilst|amongst|fulfil\b|catalogue|dialogue|analys(?:e|ed|ing)\b|"
    rf"(?:{'|'.join(ISE.split())})is(?:ed|es?|ing|ation)",
    re.IGNORECASE,
)
# Words that users may write, and that are understood: the toy's, and one for the search of nodes.
UNDERSTOOD = {"demo/scene.py": {"colour"}, "nodes/image.py": {"colour"}}
KINDS = {".py", ".md", ".js", ".mjs", ".css", ".toml", ".yml"}
SHIPPED = [*ROOT.glob("workflows/*.json"), *ROOT.glob("subgraphs/*.json")]
FOLDERS = (
    "api_example",
    "benchmarks",
    "core",
    "demo",
    "dev",
    "docs",
    "fleet",
    "host",
    "js",
    "nodes",
    "tests",
    ".github",
)
FILES = [
    path
    for path in [*ROOT.glob("*.*"), *SHIPPED, *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.*"))]
    if (path.suffix in KINDS or path in SHIPPED) and path != Path(__file__)
]


def test_the_words_are_american():
    found = {}
    for path in FILES:
        name = path.relative_to(ROOT).as_posix()
        words = {word.lower() for word in BRITISH.findall(path.read_text(encoding="utf-8"))}
        found[name] = words - UNDERSTOOD.get(name, set())
    assert {name: words for name, words in found.items() if words} == {}


def test_it_would_see_the_others():
    assert BRITISH.findall("the colour of a neighbouring grey artefact, normalised") == [
        "colour", "neighbour", "grey", "artefact", "normalised",
    ]  # fmt: skip
