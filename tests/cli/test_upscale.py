"""`mga-wrap upscale`: what is written, what is said, and the exit code."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli.calls import H, W, broken_tiff, enlarge, files_in, run, save
from PIL import ExifTags, Image, ImageCms, ImageOps

import mga_wrap as mga
from mga_wrap.config import parse_k
from mga_wrap.infer import network_for, upscale

ROOT = Path(__file__).resolve().parents[2]


def test_a_picture_goes_into_a_folder_that_is_made(saved: Path, photo: Path, tmp_path: Path) -> None:
    result = enlarge(saved, photo, "-o", tmp_path / "new" / "out")
    assert (result.exit_code, result.stderr) == (0, "")
    assert (
        f"{photo} -> {tmp_path / 'new' / 'out' / 'photo_x2.png'}: 18 x 12 -> 36 x 24, 26.7% refined," in result.stdout
    )
    with Image.open(tmp_path / "new" / "out" / "photo_x2.png") as written, Image.open(photo) as image:
        expected = upscale(image, model=network_for(saved, device="cpu"))
        np.testing.assert_array_equal(np.asarray(written), np.asarray(expected))


@pytest.mark.parametrize("name", ["a.png", "new/a.JPG", "a.tiff"])
def test_an_image_suffix_makes_out_a_file(name: str, saved: Path, photo: Path, tmp_path: Path) -> None:
    assert enlarge(saved, photo, "-o", tmp_path / name, "--mask").exit_code == 0
    written = tmp_path / name
    for file in (written, written.with_name("a_mask.png")):
        with Image.open(file) as image:
            assert image.size == (2 * W, 2 * H)


def test_files_and_folders_are_taken_together(saved: Path, photo: Path, tmp_path: Path) -> None:
    save(tmp_path / "more" / "b.png")
    save(tmp_path / "more" / "a.png")
    (tmp_path / "more" / "notes.txt").write_text("no picture")
    result = enlarge(saved, photo, tmp_path / "more", "-o", tmp_path / "out", "--mask")
    assert result.exit_code == 0
    assert files_in(tmp_path / "out") == [
        f"{name}_x2{end}.png" for name in ("a", "b", "photo") for end in ("", "_mask")
    ]
    assert [line.split(":")[0].split(" -> ")[0] for line in result.stdout.splitlines()] == [
        str(photo),
        str(tmp_path / "more" / "a.png"),
        str(tmp_path / "more" / "b.png"),
    ]


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "1", "P", "CMYK", "I;16"])
def test_every_kind_of_picture_is_written_as_it_came(mode: str, saved: Path, tmp_path: Path) -> None:
    source = tmp_path / ("in.tif" if mode == "CMYK" else "in.png")
    if mode == "I;16":
        Image.fromarray(np.arange(H * W, dtype=np.uint16).reshape(H, W)).save(source)
    else:
        save(source, mode)
    assert enlarge(saved, source, "-o", tmp_path / "out").exit_code == 0
    with Image.open(tmp_path / "out" / "in_x2.png") as image:
        assert image.mode == {"1": "L", "P": "RGB", "CMYK": "RGB"}.get(mode, mode)
        assert image.size == (2 * W, 2 * H)


def test_one_pixel_is_enlarged(saved: Path, tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), (10, 200, 30)).save(tmp_path / "dot.png")
    assert "1 x 1 -> 2 x 2" in enlarge(saved, tmp_path / "dot.png", "-o", tmp_path / "out", "--mask").stdout


@pytest.mark.parametrize(
    ("k", "share"),
    [
        ("0", 0),
        ("base", 0),
        ("3", 3 / 15),
        ("0.5", 8 / 15),
        ("1", 1 / 15),
        ("1.0", 1),
        ("999", 1),
        ("all", 1),
        ("dense", 1),
    ],
)
def test_k_is_a_number_a_share_or_a_word(k: str, share: float, saved: Path, photo: Path, tmp_path: Path) -> None:
    result = enlarge(saved, photo, "-o", tmp_path / "out", "--k", k, "--mask")
    assert f"{share:.1%} refined" in result.stdout


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("k", ["0", "base", "3", "0.5", "all", "dense", None])
def test_the_mask_is_predicted_only_where_patches_are_chosen_or_it_is_shown(
    k: str | None, mask: bool, saved: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network_for(saved, device="cpu")  # loaded, and so verified, which predicts a mask too
    calls = []
    predict = mga.MaskPredictor.forward

    def counted(self: mga.MaskPredictor, *given: Any, **options: Any) -> Any:
        calls.append(given)
        return predict(self, *given, **options)

    monkeypatch.setattr(mga.MaskPredictor, "forward", counted)
    words = (() if k is None else ("--k", k)) + (("--mask",) if mask else ())
    result = enlarge(saved, photo, "-o", tmp_path / "out.png", *words)
    share = {"0": 0, "base": 0, "3": 3 / 15, "0.5": 8 / 15, None: 4 / 15}.get(k, 1)
    assert f"{share:.1%} refined" in result.stdout
    assert len(calls) == (1 if mask or k in ("3", "0.5", None) else 0)
    monkeypatch.undo()
    with Image.open(photo) as image, Image.open(tmp_path / "out.png") as written:
        expected = upscale(image, model=network_for(saved, device="cpu"), k=None if k is None else parse_k(k))
        np.testing.assert_array_equal(np.asarray(written), np.asarray(expected))


def test_dtype_is_handed_on(saved: Path, photo: Path, tmp_path: Path) -> None:
    results = []
    for dtype in ("float32", "bfloat16"):
        assert enlarge(saved, photo, "-o", tmp_path / f"{dtype}.png", "--k", "all", "--dtype", dtype).exit_code == 0
        with Image.open(tmp_path / f"{dtype}.png") as image:
            results.append(np.asarray(image).astype(int))
    assert 0 < np.abs(results[0] - results[1]).max() < 8
    assert "got dtype='half'" in enlarge(saved, photo, "-o", tmp_path / "out", "--dtype", "half").stderr


def broken_inputs(folder: Path) -> dict[str, Path]:
    whole = save(folder / "whole.png").read_bytes()
    contents = {"text.png": b"hello", "empty.jpg": b"", "cut.png": whole[: len(whole) // 2]}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / "whole.png").unlink()
    return {name: folder / name for name in (*contents, "missing.png")}


def test_a_broken_file_does_not_stop_the_others(saved: Path, photo: Path, tmp_path: Path) -> None:
    broken = broken_inputs(tmp_path / "broken")
    (tmp_path / "bare").mkdir()
    last = save(tmp_path / "in" / "last.png")
    result = enlarge(saved, photo, *broken.values(), tmp_path / "bare", last, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert files_in(tmp_path / "out") == ["last_x2.png", "photo_x2.png"]
    lines = result.stderr.splitlines()
    assert all(line.startswith("error: ") for line in lines)
    for name, text in {
        "text.png": "it is no image (it begins with b'hello')",
        "empty.jpg": "the file is empty (0 bytes)",
        "cut.png": "the file is damaged or cut off",
        "missing.png": "there is no such file; check the path",
    }.items():
        (line,) = [line for line in lines if str(broken[name]) in line]
        assert text in line
    assert any(f"{tmp_path / 'bare'} is a folder without images" in line for line in lines)
    assert len(lines) == 5


def test_a_pipe_and_a_link_in_a_circle_are_told_and_the_others_go_on(saved: Path, photo: Path, tmp_path: Path) -> None:
    pipe, circle, file = tmp_path / "pipe.png", tmp_path / "circle.png", tmp_path / "file" / "deeper.png"
    os.mkfifo(pipe)
    circle.symlink_to(tmp_path / "back.png")
    (tmp_path / "back.png").symlink_to(circle)
    file.parent.write_text("no folder")
    long = tmp_path / f"{'a' * 300}.png"
    result = enlarge(saved, pipe, circle, file, long, photo, "-o", tmp_path / "out")
    assert (result.exit_code, files_in(tmp_path / "out")) == (1, ["photo_x2.png"])
    for path, text in {
        pipe: "it is a pipe, a socket or a device; expected a file",
        circle: "Too many levels of symbolic links",
        file: "Not a directory",
        long: "File name too long",
    }.items():
        (line,) = [line for line in result.stderr.splitlines() if str(path) in line]
        assert line.startswith("error: ")
        assert text in line
    assert len(result.stderr.splitlines()) == 4


def test_an_output_that_is_a_link_stays_one(saved: Path, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "link.png").symlink_to(tmp_path / "disk" / "large.png")
    assert enlarge(saved, photo, "-o", tmp_path / "link.png").exit_code == 0
    assert (tmp_path / "link.png").is_symlink()
    with Image.open(tmp_path / "disk" / "large.png") as image:
        assert image.size == (2 * W, 2 * H)
    (tmp_path / "circle.png").symlink_to(tmp_path / "circle.png")
    result = enlarge(saved, photo, "-o", tmp_path / "circle.png")
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert "it is a symbolic link that leads back to itself" in result.stderr


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_a_photo_is_turned_upright_and_keeps_exif_and_profile(
    suffix: str, orientation: int, saved: Path, tmp_path: Path
) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation], exif[ExifTags.Base.Make] = orientation, "a telephone"
    with Image.open(save(tmp_path / "plain.png")) as image:
        image.save(tmp_path / "photo.jpg", exif=exif, icc_profile=profile)
    with Image.open(tmp_path / "photo.jpg") as image:
        upright = ImageOps.exif_transpose(image)
        expected = upscale(upright, model=network_for(saved, device="cpu"))
    assert enlarge(saved, tmp_path / "photo.jpg", "-o", tmp_path / f"large{suffix}").exit_code == 0
    with Image.open(tmp_path / f"large{suffix}") as written:
        assert written.size == expected.size == (2 * upright.width, 2 * upright.height)
        difference = np.asarray(written).astype(int) - np.asarray(expected).astype(int)
        assert np.abs(difference).mean() < (8 if suffix == ".jpg" else 1e-9)
        assert written.getexif()[ExifTags.Base.Orientation] == 1
        assert written.getexif()[ExifTags.Base.Make] == "a telephone"
        assert written.info["icc_profile"] == profile


def test_of_a_network_that_refines_nothing_no_share_is_told(photo: Path, tmp_path: Path) -> None:
    result = enlarge(Path("student-x2"), photo, "-o", tmp_path / "large.png")
    assert result.exit_code == 0
    assert re.fullmatch(rf"{photo} -> .*large.png: 18 x 12 -> 36 x 24, \d+\.\d\d s\n", result.stdout)


@pytest.mark.slow
def test_a_broken_tiff_is_one_line_and_its_library_is_silent(saved: Path, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.tif").write_bytes(broken_tiff(tmp_path / "whole.tif"))
    (tmp_path / "cut.tif").write_bytes((tmp_path / "whole.tif").read_bytes()[:500])
    words = ["upscale", tmp_path / "broken.tif", tmp_path / "cut.tif", photo, "-o", tmp_path / "out"]
    command = [sys.executable, "-m", "mga_wrap", *words, "--model", saved, "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)  # C writes past Python
    assert done.returncode == 1
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["error", "error"]
    assert files_in(tmp_path / "out") == ["photo_x2.png"]


@pytest.mark.parametrize(
    "error", [RecursionError("maximum recursion depth"), RuntimeError("odd"), OSError(5, "broken")]
)
@pytest.mark.parametrize(
    "place", ["mga_wrap.cli.work.upscale.enlarge_to_write", "mga_wrap.pictures.files.to_pil", "PIL.Image.Image.save"]
)
def test_whatever_fails_at_one_input_is_one_line_and_the_others_go_on(
    place: str, error: Exception, saved: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = save(tmp_path / "in" / "last.png")
    module, name = place.rsplit(".", 1)
    owner = Image.Image if module == "PIL.Image.Image" else importlib.import_module(module)
    right, calls = getattr(owner, name), []

    def fail_at_first(*given: Any, **options: Any) -> Any:
        calls.append(given)
        if len(calls) > 1:
            return right(*given, **options)
        if name == "save":
            given[1].write(b"half")
        raise error

    monkeypatch.setattr(owner, name, fail_at_first)
    result = enlarge(saved, photo, last, "-o", tmp_path / "out")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert str(photo) in line
    assert files_in(tmp_path / "out") == ["last_x2.png"]


def test_it_ends_quietly_when_nobody_reads_its_output(
    saved: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def closed(job: Any, *_: Any) -> str:
        tried.append(job)
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("mga_wrap.cli.work.upscale._enlarged", closed)
    result = enlarge(saved, photo, save(tmp_path / "in" / "last.png"), "-o", tmp_path / "out")
    assert (result.exit_code, result.stderr, len(tried)) == (1, "", 1)


def test_an_output_that_cannot_be_written_is_told(saved: Path, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    result = enlarge(saved, photo, "-o", tmp_path / "taken")
    assert result.exit_code == 1
    assert f"{photo}: cannot write {tmp_path / 'taken' / 'photo_x2.png'}: " in result.stderr
    assert "is a file, not a folder; choose another folder" in result.stderr
    assert (tmp_path / "taken").read_text() == "mine"


def test_a_network_that_fails_on_a_picture_names_it(
    saved: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("not enough memory: you tried to allocate 9 GB")

    monkeypatch.setattr(mga.MGANet, "trace", fail)
    result = enlarge(saved, photo, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {photo}: MGANet failed on lr of shape (1, 3, 12, 18): not enough memory")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["{photo}", "{other}", "-o", "{out}"], "photo.png would both be written to"),
        (["{photo}", "{photo}", "-o", "{out}"], "would both be written to"),
        (["{photo}", "{more}", "-o", "{out}.png"], "for several pictures; expected a folder: give a name without .png"),
        (["{photo}", "-o", "{out}.gif"], ".gif is not written: expected one of .png, .jpg"),
        (["{photo}", "-o", "{photo}"], "is one of the inputs and is never overwritten; choose another -o"),
        (["{link}", "-o", "{photo}"], "is one of the inputs and is never overwritten"),
        (["{photo}", "{clash}", "-o", "{folder}"], "is one of the inputs and is never overwritten"),
        (["{photo}", "-o", "{out}", "--k", "1.5"], "got the share k=1.5; expected an int >= 0, a float in (0, 1]"),
        (["{photo}", "-o", "{out}", "--k", "-1"], "got k=-1; expected an int >= 0"),
        (["{photo}", "-o", "{out}", "--k", "nan"], "k=nan"),
        (["{photo}", "-o", "{out}", "--k", "some"], "got k='some'; expected"),
        (["{photo}", "-o", "{out}", "--scale", "3"], "scale=3 and a model that enlarges by 2; leave one of them out"),
        (
            ["{photo}", "-o", "{out}", "--device", "meta"],
            "expected a device on which images can be computed, such as auto",
        ),
        (["{photo}", "-o", "{out}" + "t" * 300 + ".png"], "File name too long; choose another -o"),
        (["{photo}", "-o", "{out}", "--device", "gpu"], "device='gpu'; expected auto, cpu, cuda"),
    ],
)
def test_a_senseless_command_line_does_nothing_and_exits_with_2(
    words: list[str], text: str, saved: Path, photo: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link.png"
    link.symlink_to(photo)
    names = {
        "photo": photo,
        "other": save(tmp_path / "elsewhere" / "photo.png"),
        "more": save(tmp_path / "in" / "more.png"),
        "clash": save(tmp_path / "in" / "photo_x2.png"),
        "link": link,
        "folder": photo.parent,
        "out": tmp_path / "out",
    }
    before = {file: file.read_bytes() for file in tmp_path.rglob("*.png")}
    result = run("upscale", "--model", saved, *(word.format(**names) for word in words))
    assert result.exit_code == 2
    assert text in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert {file: file.read_bytes() for file in tmp_path.rglob("*.png")} == before
    assert not (tmp_path / "out").exists()


def test_an_unknown_network_is_told_in_one_line(photo: Path, tmp_path: Path) -> None:
    result = run("upscale", photo, "-o", tmp_path / "out", "--model", tmp_path / "nothing")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_the_network_in_the_package_is_the_default(photo: Path, tmp_path: Path) -> None:
    result = run("upscale", photo, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    with Image.open(tmp_path / "out" / "photo_x4.png") as image:
        assert image.size == (4 * W, 4 * H)
