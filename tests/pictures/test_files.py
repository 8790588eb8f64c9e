"""Image files: every kind of picture comes in right and leaves the way it came, every broken one is named."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, ImageOps

from mga_wrap.errors import ImageError
from mga_wrap.pictures.bicubic import resize_bicubic
from mga_wrap.pictures.files import Picture, from_pil, list_images, read_image, to_pil, write_image

ROOT = Path(__file__).resolve().parents[2]
H, W = 5, 7


def noise(*shape: int, seed: int = 0, top: int = 256) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, top, shape)


def colour_image() -> Image.Image:
    return Image.fromarray(noise(H, W, 3).astype(np.uint8))


# ---------------------------------------------------------------------------------------------- what comes in, per mode
def test_a_colour_file_is_read_to_the_bit(tmp_path: Path) -> None:
    colour_image().save(tmp_path / "a.png")
    picture = read_image(tmp_path / "a.png")
    assert (picture.rgb.shape, picture.rgb.dtype, picture.size) == ((H, W, 3), np.float32, (W, H))
    assert (picture.grey, picture.alpha, picture.depth) == (False, None, 8)
    np.testing.assert_array_equal(picture.rgb * 255, np.asarray(colour_image()))


@pytest.mark.parametrize("mode", ["L", "RGB", "LA", "RGBA"])
def test_eight_bit_modes_survive_the_round_trip_through_a_file(mode: str, tmp_path: Path) -> None:
    image = Image.fromarray(noise(H, W, 4).astype(np.uint8), "RGBA").convert(mode)
    image.save(tmp_path / "in.png")
    write_image(read_image(tmp_path / "in.png"), path=tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as back:
        assert back.mode == mode
        np.testing.assert_array_equal(np.asarray(back), np.asarray(image))


def test_every_16_bit_grey_value_survives_the_round_trip_through_a_file(tmp_path: Path) -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    for name in ("in.png", "in.tif"):
        Image.fromarray(values).save(tmp_path / name)
        picture = read_image(tmp_path / name)
        assert (picture.grey, picture.depth) == (True, 16)
        write_image(picture, path=tmp_path / f"out_{name}")
        with Image.open(tmp_path / f"out_{name}") as back:
            np.testing.assert_array_equal(np.asarray(back), values)


def test_mode_i_counts_as_16_bits() -> None:
    picture = from_pil(Image.fromarray(np.array([[0, 65535]], dtype=np.int32)))
    assert (picture.depth, picture.grey, picture.rgb[0, :, 0].tolist()) == (16, True, [0.0, 1.0])


def test_one_bit_becomes_grey() -> None:
    picture = from_pil(Image.fromarray(np.array([[True, False]])))
    assert (picture.grey, picture.rgb[0, :, 1].tolist()) == (True, [1.0, 0.0])
    assert to_pil(picture).mode == "L"


def test_a_palette_becomes_colour_and_a_palette_of_greys_stays_grey() -> None:
    paletted = Image.new("P", (2, 1))
    paletted.putpalette([10, 20, 30, 40, 40, 40])
    paletted.putdata([0, 1])
    picture = from_pil(paletted)
    np.testing.assert_array_equal(np.asarray(to_pil(picture)), [[[10, 20, 30], [40, 40, 40]]])
    paletted.putpalette([10, 10, 10, 40, 40, 40])
    assert np.asarray(to_pil(from_pil(paletted))).tolist() == [[10, 40]]


def test_transparency_of_a_palette_becomes_an_alpha_channel(tmp_path: Path) -> None:
    paletted = Image.new("P", (2, 1))
    paletted.putpalette([10, 20, 30, 40, 50, 60])
    paletted.putdata([0, 1])
    paletted.save(tmp_path / "a.png", transparency=bytes([255, 128]))
    out = to_pil(read_image(tmp_path / "a.png"))
    assert np.asarray(out).tolist() == [[[10, 20, 30, 255], [40, 50, 60, 128]]]


@pytest.mark.parametrize(
    ("values", "key", "expected"),
    [
        (np.array([[7, 9]], dtype=np.uint8), 9, [[[7, 255], [9, 0]]]),
        (np.array([[0, 65535]], dtype=np.uint16), 65535, [[[0, 255], [255, 0]]]),
        (np.array([[[1, 2, 3], [4, 5, 6]]], dtype=np.uint8), (4, 5, 6), [[[1, 2, 3, 255], [4, 5, 6, 0]]]),
    ],
    ids=["grey", "grey 16", "colour"],
)
def test_a_transparent_colour_becomes_an_alpha_channel(
    values: np.ndarray, key: Any, expected: list[Any], tmp_path: Path
) -> None:
    Image.fromarray(values).save(tmp_path / "a.png", transparency=key)
    assert np.asarray(to_pil(read_image(tmp_path / "a.png"))).tolist() == expected


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    inks = Image.new("CMYK", (4, 4), (255, 0, 0, 0))
    inks.save(tmp_path / "a.tif")
    picture = read_image(tmp_path / "a.tif")
    assert to_pil(picture).mode == "RGB"
    np.testing.assert_array_equal(picture.rgb, np.broadcast_to([0, 1, 1], (4, 4, 3)))


def test_a_profile_is_kept_where_it_fits_and_dropped_where_it_does_not(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    colour_image().save(tmp_path / "rgb.png", icc_profile=profile)
    colour_image().convert("L").save(tmp_path / "grey.png", icc_profile=profile)
    write_image(read_image(tmp_path / "rgb.png"), path=tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as back:
        assert back.info["icc_profile"] == profile
    assert read_image(tmp_path / "grey.png").icc_profile is None


def test_a_broken_ink_profile_does_not_stop_a_cmyk_picture() -> None:
    inks = Image.new("CMYK", (2, 2), (0, 0, 0, 255))
    inks.info["icc_profile"] = b"\0" * 16 + b"CMYK" + b"\0" * 40
    picture = from_pil(inks)
    assert (picture.rgb.max(), picture.icc_profile) == (0.0, None)


def test_lab_becomes_rgb_or_is_refused_where_pillow_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Image.new("LAB", (2, 2), (255, 128, 128))
    assert np.asarray(to_pil(from_pil(lab))).min() > 250

    def refuse(*_: object) -> None:
        raise ValueError("conversion not supported")

    monkeypatch.setattr(Image.Image, "convert", refuse)
    with pytest.raises(ImageError, match=r"mode LAB, which has no way to RGB .*; convert it first"):
        from_pil(lab)


def camera_exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Make] = "a telephone"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2024:02:29 12:00:00"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    return exif


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_a_picture_is_turned_upright_once_and_keeps_exif_and_profile(
    suffix: str, orientation: int, tmp_path: Path
) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.fromarray(np.kron(noise(H, W, 3), np.ones((16, 16, 1))).astype(np.uint8))
    path = tmp_path / "a.jpg"
    image.save(path, exif=camera_exif(orientation), icc_profile=profile, quality=95, subsampling=0)
    with Image.open(path) as stored:
        upright = np.asarray(ImageOps.exif_transpose(stored))
    for number in range(2):  # written and read again, it is not turned again
        picture = read_image(path)
        np.testing.assert_allclose(picture.rgb * 255, upright, atol=0.01 if number == 0 or suffix != ".jpg" else 24)
        path = tmp_path / f"b{suffix}"
        write_image(picture, path=path)
        with Image.open(path) as back:
            exif = back.getexif()
            assert (exif[ExifTags.Base.Orientation] if suffix != ".tif" else 1) == 1
            if number == 0:  # of a TIFF that is read, EXIF is not kept: its tags say how it is stored
                assert exif[ExifTags.Base.Make] == "a telephone"
                assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] == "2024:02:29 12:00:00"
                assert exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"
            assert back.info["icc_profile"] == profile


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_is_turned_upright_too(orientation: int, tmp_path: Path) -> None:
    image = colour_image()
    image.save(tmp_path / "a.tif", exif=camera_exif(orientation))
    image.info["exif"] = camera_exif(orientation).tobytes()
    upright = np.asarray(ImageOps.exif_transpose(image))
    with Image.open(tmp_path / "a.tif") as opened:
        for picture in (read_image(tmp_path / "a.tif"), from_pil(opened)):
            np.testing.assert_array_equal(np.asarray(to_pil(picture)), upright)
            assert picture.exif is None


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("broken", [b"", b"Exif\0\0", b"Exif\0\0no TIFF at all", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"])
def test_broken_exif_does_not_stop_a_picture(broken: bytes) -> None:
    image = colour_image()
    image.info["exif"] = broken
    picture = from_pil(image)
    np.testing.assert_array_equal(np.asarray(to_pil(picture)), np.asarray(image))
    assert picture.exif is None


def test_one_pixel_is_a_picture(tmp_path: Path) -> None:
    Image.new("L", (1, 1), 128).save(tmp_path / "a.png")
    np.testing.assert_allclose(read_image(tmp_path / "a.png").rgb, np.full((1, 1, 3), 128 / 255), rtol=1e-6)


@pytest.mark.parametrize(
    ("image", "text"),
    [
        (Image.fromarray(np.array([[0.5]], dtype=np.float32)), "mode F"),
        (Image.fromarray(np.array([[70000]], dtype=np.int32)), "70000"),
        (Image.new("RGB", (0, 3)), "empty"),
    ],
    ids=["float", "32 bits", "no pixels"],
)
def test_what_has_no_right_result_is_refused(image: Image.Image, text: str) -> None:
    with pytest.raises(ImageError, match=text):
        from_pil(image)


# --------------------------------------------------------------------------------------------------------- broken files
def encoded(kind: str) -> bytes:
    image = Image.fromarray(noise(64, 64, 3).astype(np.uint8))
    stream = BytesIO()
    image.save(stream, format=kind)
    return stream.getvalue()


@pytest.mark.parametrize("share", [0.3, 0.7, 0.98])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF"])
def test_a_truncated_file_is_named(kind: str, share: float, tmp_path: Path) -> None:
    content = encoded(kind)
    path = tmp_path / "cut.img"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ImageError, match=r"cut\.img.*(cut off|no image)"):
        read_image(path)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda path: None, "there is no such file; check the path"),
        (lambda path: path.mkdir(), "it is a folder; expected an image file"),
        (lambda path: path.touch(), r"empty \(0 bytes\)"),
        (lambda path: path.write_text("hello, world"), r"no image \(it begins with b'hello, w'\); expected PNG"),
        (lambda path: path.write_bytes(encoded("PNG")[:20]), "damaged or cut off|no image"),
    ],
    ids=["missing", "folder", "empty", "text", "header only"],
)
def test_what_cannot_be_read_is_told_in_one_line(make: Any, text: str, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    make(path)
    with pytest.raises(ImageError, match=text) as caught:
        read_image(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["pipe", "link to a pipe", "device", "socket"])
def test_what_is_no_file_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with socket.socket(socket.AF_UNIX) as listening:
        if kind == "device":
            path.symlink_to(os.devnull)
        elif kind == "socket":
            listening.bind(str(path))
        else:
            os.mkfifo(tmp_path / "pipe")
            path.symlink_to("pipe") if kind != "pipe" else (tmp_path / "pipe").rename(path)
        with pytest.raises(ImageError, match=r"a\.png: it is a pipe, a socket or a device; expected a file"):
            read_image(path)


def test_a_link_that_leads_back_to_itself_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to("a.png")
    with pytest.raises(ImageError, match=r"cannot read .*a\.png: Too many levels of symbolic links"):
        read_image(tmp_path / "a.png")
    assert list_images(tmp_path / "a.png") == [tmp_path / "a.png"]


def test_a_name_that_no_file_can_have_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"cannot read .*: File name too long; check the path"):
        list_images(tmp_path / ("a" * 300 + ".png"))


def broken_tiff(path: Path, *, compression: str) -> Path:
    """A TIFF whose C library has something to say."""
    stream = BytesIO()
    Image.fromarray(noise(200, 200, 3).astype(np.uint8)).save(stream, "TIFF", compression=compression)
    content = bytearray(stream.getvalue())
    third = len(content) // 3
    content[third : 2 * third] = b"\xff" * third
    path.write_bytes(content)
    return path


def test_pillow_is_hushed_and_what_other_threads_write_is_not(tmp_path: Path) -> None:
    files = [broken_tiff(tmp_path / f"{name}.tif", compression=name) for name in ("tiff_lzw", "tiff_adobe_deflate")]
    cut = tmp_path / "cut.tif"
    cut.write_bytes(files[0].read_bytes()[:5000])  # this one warns by Python
    code = (
        "import sys, threading, time\n"
        "from mga_wrap.errors import ImageError\n"
        "from mga_wrap.pictures.files import hush_pillow, read_image\n"
        "if sys.argv[1] == 'hushed': hush_pillow()\n"
        "done = threading.Event()\n"
        "lines = []\n"
        "def write():\n"
        "    while not done.is_set(): print('mine', file=sys.stderr, flush=True); lines.append(0); time.sleep(0.001)\n"
        "other = threading.Thread(target=write); other.start()\n"
        "for path in sys.argv[2:]:\n"
        "    try: read_image(path)\n"
        "    except ImageError: print('refused')\n"
        "done.set(); other.join(); print(len(lines))\n"
    )
    said = {}
    for how in ("plain", "hushed"):
        words = [sys.executable, "-c", code, how, *files, cut]
        run = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT)
        *refused, lines = run.stdout.split()
        assert refused == ["refused"] * 3
        said[how] = run.stderr.splitlines()
    assert said["hushed"] == ["mine"] * int(lines)
    assert any("Decod" in line or "code" in line for line in said["plain"])  # else this test would show nothing


def test_a_decompression_bomb_is_refused_and_a_merely_large_picture_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    colour_image().save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", H * W // 3)
    with pytest.raises(
        ImageError, match=r"a\.png: it holds more than 22 pixels, the limit against decompression bombs"
    ):
        read_image(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", H * W - 1)
    assert read_image(tmp_path / "a.png").size == (W, H)
    assert not recwarn


def test_a_lazily_opened_broken_image_is_refused_too() -> None:
    with Image.open(BytesIO(encoded("PNG")[:5000])) as image, pytest.raises(ImageError, match="cut off"):
        from_pil(image)


# -------------------------------------------------------------------------------------------------------------- folders
def test_a_folder_is_expanded_sorted_and_not_into_its_subfolders(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "notes.txt", ".hidden.png", "sub/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list_images(tmp_path) == [tmp_path / "a.jpg", tmp_path / "b.PNG"]
    assert list_images(tmp_path / "missing.png") == [tmp_path / "missing.png"]


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ImageError, match=r"is a folder without images \(1 other files.*expected files such as \.png"):
        list_images(tmp_path)


# -------------------------------------------------------------------------------------------------------------- writing
GREY = Picture(np.full((H, W, 3), 0.5, dtype=np.float32), grey=True)


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"])
def test_the_suffix_names_the_format(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / f"a{suffix}"
    write_image(GREY, path=path)
    assert read_image(path).size == (W, H)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_photograph_takes_no_more_room_than_after_zlibs_long_search(tmp_path: Path) -> None:
    photograph = resize_bicubic(read_image(ROOT / "examples" / "chelsea.png").rgb, 2)
    write_image(Picture(photograph), path=tmp_path / "ours.png")
    Image.open(tmp_path / "ours.png").save(tmp_path / "long.png", compress_level=6)
    assert (tmp_path / "ours.png").stat().st_size < 1.05 * (tmp_path / "long.png").stat().st_size


def test_values_are_clipped_and_rounded_half_up() -> None:
    values = np.array([-1, 0.5 / 255, 1.5 / 255, 127.49 / 255, 2], dtype=np.float32)
    out = to_pil(Picture(np.repeat(values[None, :, None], 3, axis=2)))
    assert np.asarray(out)[0, :, 0].tolist() == [0, 1, 2, 127, 255]


@pytest.mark.parametrize(
    ("name", "picture", "text"),
    [
        ("a.gif", GREY, r"got suffix \.gif; expected one of \.png"),
        ("a", GREY, r"got suffix \(none\)"),
        ("a.jpg", Picture(GREY.rgb, alpha=GREY.rgb[..., 0]), r"JPEG holds no alpha channel; use \.png"),
        ("a.webp", Picture(GREY.rgb, grey=True, depth=16), r"WEBP holds no 16 bits; use \.png"),
        ("file/a.png", GREY, "file is a file, not a folder; choose another folder"),
        ("file/deeper/a.png", GREY, "file is a file, not a folder; choose another folder"),
        ("folder.png", GREY, "a folder of that name stands there"),
        ("a.webp", Picture(np.zeros((1, 17000, 3), dtype=np.float32)), "choose another format"),
    ],
    ids=["gif", "no suffix", "alpha", "16 bits", "file as folder", "file as parent", "folder as file", "too wide"],
)
def test_what_cannot_be_written_leaves_nothing_behind(name: str, picture: Picture, text: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder.png").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ImageError, match=text) as caught:
        write_image(picture, path=tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_breaks_off_keeps_the_older_file(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(self: Image.Image, handle: Any, **options: Any) -> None:
        handle.write(b"half a picture")
        raise error

    (tmp_path / "a.png").write_text("older")
    monkeypatch.setattr(Image.Image, "save", break_off)
    with pytest.raises(ImageError if isinstance(error, OSError) else KeyboardInterrupt) as caught:
        write_image(GREY, path=tmp_path / "a.png")
    if isinstance(error, OSError):
        assert "No space left on device" in str(caught.value)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.png", "older")]
