"""File names, folders and whole files."""

from pathlib import PureWindowsPath

import pytest
from img2img_studio.fleet.errors import FleetError
from img2img_studio.fleet.files import distinct_names, pictures_in, remove_parts, safe_name, write_whole
from img2img_studio.fleet.server import is_loopback, tidy_url
from img2img_studio.fleet.work import _ending


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("cat", "cat"),
        ("a/b\\c:d", "a_b_c_d"),
        ("..", "_"),
        ("CON", "_CON"),
        ("com1.tar", "_com1.tar"),
        ("ends. ", "ends"),
        ("üñ \u65e5\u672c", "üñ \u65e5\u672c"),
        ("tab\there\x00", "tab_here_"),
        ("", "_"),
    ],
)
def test_a_name_is_a_file_name_on_every_system(text, name):
    assert safe_name(text) == name
    path = PureWindowsPath("C:/out") / f"{safe_name(text)}.png"
    assert path.parent == PureWindowsPath("C:/out")


def test_long_names_are_cut_and_stay_different():
    one, other = safe_name("x" * 300), safe_name("x" * 299 + "y")
    assert len(one) == len(other) == 120
    assert one != other


def test_capital_letters_do_not_make_a_name_another():
    assert distinct_names(["a", "A", "b", "a"]) == ["a", "A_2", "b", "a_3"]


@pytest.mark.parametrize(
    ("filename", "ending"),
    [("a.PNG", ".png"), ("a.b/c.webp", ".webp"), ("a.p/../x", ".bin"), ("x.ex\x00e", ".bin"), ("no", ".bin"),
     ("C:\\x.y\\z.jpg", ".jpg"), ("a.png:stream", ".bin"), ("a.verylongending", ".bin")],
)  # fmt: skip
def test_of_a_servers_file_name_only_a_harmless_ending_is_kept(filename, ending):
    assert _ending(filename) == ending


def test_a_file_is_whole_or_not_there(tmp_path):
    path = tmp_path / "a.png"
    write_whole(path, b"one")
    write_whole(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(FleetError, match="cannot be written"):
        write_whole(tmp_path / "gone" / "a.png", b"one")
    (tmp_path / "x.part").write_bytes(b"half")
    remove_parts(tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_without_pictures_says_what_it_holds(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(FleetError, match=r"no picture in .*: it holds notes.txt"):
        pictures_in(tmp_path)
    with pytest.raises(FleetError, match="There is no folder"):
        pictures_in(tmp_path / "gone")


def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "secret.png").write_bytes(b"")
    folder = tmp_path / "in"
    folder.mkdir()
    try:
        (folder / "a.png").symlink_to(tmp_path / "secret.png")
    except OSError:
        pytest.fail("this test needs to make a symbolic link; on Windows, switch the developer mode on")
    with pytest.raises(FleetError, match="leads out of the folder"):
        pictures_in(folder)


@pytest.mark.parametrize(
    ("typed", "url"),
    [("127.0.0.1:8188", "http://127.0.0.1:8188"), ("https://a.example/comfy/", "https://a.example/comfy")],
)
def test_addresses_are_tidied(typed, url):
    assert tidy_url(typed) == url


@pytest.mark.parametrize("typed", ["ftp://a", "http://", "http://a?x=1", "file:///etc/passwd"])
def test_other_addresses_are_refused(typed):
    with pytest.raises(FleetError, match="is no address of a server"):
        tidy_url(typed)


def test_a_password_does_not_belong_into_an_address():
    with pytest.raises(FleetError, match="FLEET_AUTHORIZATION") as caught:
        tidy_url("https://me:secret@a.example")
    assert "secret" not in str(caught.value)


def test_loopback_is_known():
    assert is_loopback("127.0.0.1")
    assert is_loopback("localhost")
    assert is_loopback("::1")
    assert not is_loopback("10.0.0.5")
