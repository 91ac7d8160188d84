"""What a grid has to run, and what people type for its axes."""

import pytest
from img2img_studio.core.grid import Axis, Cell, count_marks, distinct, parse_axis, plan_cells, run_of
from img2img_studio.core.sheet import labeled_grid
from PIL import Image

SHARED = Cell(0.6, 7.5, 20, "euler", "normal", 1)
KNOWN = {"sampler": ["euler", "ddim"], "scheduler": ["normal", "karras"]}


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("strength", "0.3, 0.6", [0.3, 0.6]),
        ("cfg", "4\n7.5", [4.0, 7.5]),
        ("steps", "10, 50", [10, 50]),
        ("seed", "1, 4..6", [1, 4, 5, 6]),
        ("sampler", "ddim, euler", ["ddim", "euler"]),
        ("scheduler", "karras", ["karras"]),
        ("prompt", "a house, blue\n\n a boat ", ["a house, blue", "a boat"]),
    ],
)
def test_axis_values(name, text, values):
    assert parse_axis(name, text, "row_values", KNOWN).values == values


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("sampler", "euler, fast", "row_values: 'fast' at character 8 is unknown here; choose from euler, ddim"),
        ("sampler", "Euler", r"'Euler' at character 1 is unknown here; did you mean euler\?"),
        ("sampler", "ddin", r"did you mean ddim\?"),
        ("steps", "10, 2.5", "row_values: '2.5' at character 5"),
        ("steps", "0", "row_values: '0' at character 1"),
        ("cfg", "1, x", "row_values: 'x' at character 4"),
        ("cfg", "", "row_values is empty"),
        ("prompt", " \n", "row_values is empty"),
        ("color", "red", "an axis must be one of"),
    ],
)
def test_wrong_values_are_refused_with_their_place(name, text, message):
    with pytest.raises(ValueError, match=message):
        parse_axis(name, text, "row_values", KNOWN)


def test_cells_are_every_pair_row_by_row():
    cells = plan_cells(Axis("strength", [0.3, 0.9]), Axis("cfg", [4.0, 12.0]), SHARED)
    assert [(cell.strength, cell.cfg) for cell in cells] == [(0.3, 4.0), (0.3, 12.0), (0.9, 4.0), (0.9, 12.0)]
    assert {cell.steps for cell in cells} == {20}


def test_equal_cells_run_once_and_strength_zero_once_for_all():
    cells = plan_cells(Axis("strength", [0.0, 0.5, 0.5]), Axis("seed", [1, 2, 1]), SHARED)
    runs = distinct(cells)
    assert len(cells) == 9
    assert len(runs) == 3
    assert all(run_of(cell) in runs for cell in cells)


def test_bad_grids_are_refused():
    with pytest.raises(ValueError, match="columns: both axes are cfg"):
        plan_cells(Axis("cfg", [1.0]), Axis("cfg", [2.0]), SHARED)
    with pytest.raises(ValueError, match="make 400 cells, more than 256"):
        plan_cells(Axis("seed", list(range(20))), Axis("steps", list(range(1, 21))), SHARED)


def test_marks_are_counted_for_each_value():
    rows, columns = Axis("strength", [0.3, 0.9]), Axis("cfg", [4.0, 7.5, 12.0])
    marks = "strength 0.3, cfg 7.5|strength 0.9, cfg 7.5 | strength 0.9, cfg 12 | strength 0.9, cfg 3"
    assert count_marks(marks, rows, columns) == {
        "strength": {"0.3": 1, "0.9": 2},
        "cfg": {"7.5": 2, "12.0": 1},
    }
    assert count_marks("", rows, columns) == {"strength": {}, "cfg": {}}


@pytest.mark.parametrize("size", [(64, 64), (512, 300), (40, 200)])
def test_a_sheet_says_where_each_picture_lies(size):
    colors = [(40 * n, 255 - 40 * n, 128) for n in range(6)]
    pictures = [Image.new("RGB", size, color) for color in colors]
    long = "a prompt that is far too long for its heading, and goes on and on and on"
    sheet, boxes = labeled_grid(pictures, ["sigma 1"] * 6, ["strength 0.3", long], ["a", "b", long], "rows / columns")
    for (left, top, width, height), color in zip(boxes, colors, strict=True):
        x, y = round((left + width / 2) * sheet.width), round((top + height / 2) * sheet.height)
        assert sheet.getpixel((x, y)) == color
