"""run.jsonl: what counts as done."""

import json

import pytest
from img2img_studio.fleet.errors import FleetError
from img2img_studio.fleet.jobs import Job
from img2img_studio.fleet.record import Record
from img2img_studio.fleet.work import Outcome, ServerFile


def job(name, key=None):
    return Job(key or f"key of {name}", name, {})


def outcome(*contents, texts=()):
    return Outcome("done", "http://a", "w", files=tuple(ServerFile(".png", one) for one in contents), texts=texts)


def lines(folder):
    return [json.loads(line) for line in (folder / "run.jsonl").read_text().splitlines()]


def test_a_line_says_all_there_is_to_say(tmp_path):
    with Record(tmp_path, False) as record:
        record.add(job("cat"), outcome(b"one", b"two!", texts=('{"seed": 3}', "words")), {"torch": "2"}, "A")
    (line,) = lines(tmp_path)
    assert line["job"] == "key of cat"
    assert [file["name"] for file in line["files"]] == ["cat_1.png", "cat_2.png"]
    assert line["files"][1]["bytes"] == 4
    assert line["report"] == [{"seed": 3}, "words"]
    assert (line["server"], line["versions"], line["bits"]) == ("http://a", {"torch": "2"}, "A")
    assert (tmp_path / "cat_2.png").read_bytes() == b"two!"
    assert not (tmp_path / "run.lock").exists()


def test_resume_counts_only_whole_files_and_whole_lines(tmp_path):
    with Record(tmp_path, False) as record:
        for name in ("a", "b", "c", "d"):
            record.add(job(name), outcome(b"123"), {})
        record.add_failure(job("e"), "http://a", "no")
    (tmp_path / "b.png").write_bytes(b"12")
    (tmp_path / "c.png").unlink()
    path = tmp_path / "run.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole.splitlines()[3][:50])
    (tmp_path / "half.part").write_bytes(b"1")
    with Record(tmp_path, True) as record:
        assert [name for name in "abcde" if record.has(job(name))] == ["a", "d"]
        record.add(job("b"), outcome(b"123"), {})
    assert path.read_bytes().startswith(whole)
    assert len(lines(tmp_path)) == 6
    assert not (tmp_path / "half.part").exists()


def test_a_folder_in_use_and_a_folder_with_things_in_it_are_refused(tmp_path):
    (tmp_path / "old.png").write_bytes(b"1")
    with pytest.raises(FleetError, match=r"is not empty: it holds old.png.*--resume"), Record(tmp_path, False):
        pass
    with (
        Record(tmp_path, True),
        pytest.raises(FleetError, match="Another run works in"),
        Record(tmp_path, True),
    ):
        pass
    assert (tmp_path / "old.png").read_bytes() == b"1"


def test_results_of_other_settings_are_never_overwritten(tmp_path):
    with Record(tmp_path, False) as record:
        record.add(job("cat", "one"), outcome(b"1"), {})
    with Record(tmp_path, True) as record:
        with pytest.raises(FleetError, match=r"'cat' .* was made with other settings"):
            record.has(job("cat", "two"))
        with pytest.raises(FleetError, match=r"'CAT.png' .* was made with other settings"):
            record.add(job("CAT", "two"), outcome(b"2"), {})
    assert (tmp_path / "cat.png").read_bytes() == b"1"


def test_a_line_cannot_point_out_of_the_folder(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "x.png").write_bytes(b"1")
    saved = {"name": "../x.png", "bytes": 1, "sha256": ""}
    line = {"job": "k", "name": "x", "files": [saved], "server": "s", "seconds": 1}
    (out / "run.jsonl").write_text(json.dumps(line) + "\n")
    with Record(out, True) as record:
        assert not record.has(job("x", "k"))


def test_the_same_job_under_another_name_is_a_copy(tmp_path):
    with Record(tmp_path, False) as record:
        record.add(job("cat", "k"), outcome(b"1", texts=("words",)), {"torch": "2"})
        record.copy(job("copy", "k"), record.same(job("copy", "k")))
    assert (tmp_path / "copy.png").read_bytes() == b"1"
    with Record(tmp_path, True) as record:
        assert record.has(job("cat", "k"))
        assert record.has(job("copy", "k"))


def test_an_output_folder_that_cannot_be_made_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FleetError, match="cannot be used for results"), Record(tmp_path / "file" / "out", False):
        pass


def test_a_run_that_did_nothing_leaves_the_folder_as_it_was(tmp_path):
    for _ in range(2):
        with Record(tmp_path / "out", False):
            pass
    assert list((tmp_path / "out").iterdir()) == []
