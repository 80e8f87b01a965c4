from __future__ import annotations

import base64
import io
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gristmill.pipelines.ingestion.readers.picture_pixels import (
    DeepPicture,
    Form,
    decoded,
    header_of,
    pixels,
)

GREY = np.array([[0, 1, 2], [127, 128, 255]], np.uint8)
DEEP = np.array([[0, 128, 129], [257, 30000, 65535]], np.uint16)
DRAWN = np.dstack([np.zeros((1, 3, 3), np.uint8), np.array([[0, 128, 255]], np.uint8)])
"""A black picture whose drawing is in the alpha channel."""

PALETTE = Image.new("P", (3, 1))
PALETTE.putdata([0, 1, 2])
PALETTE.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])

BIG_ENDIAN = Image.frombytes("I;16B", (3, 2), DEEP.astype(">u2").tobytes())
RED_INK = Image.new("CMYK", (1, 1), (0, 255, 255, 0))
SHADED = Image.new("RGB", (8, 8), (200, 30, 60)).convert("YCbCr")


def encoded(image: Any, format: str, **arguments: Any) -> bytes:
    out = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(
        out, format, **arguments
    )
    return out.getvalue()


def grey(*shades: int) -> list[int]:
    return [shade for shade in shades for _ in range(3)]


@pytest.mark.parametrize(
    ("mode", "content", "shape", "expected"),
    [
        ("1", encoded(GREY > 100, "PNG"), (2, 3, 1), [0, 0, 0, 255, 255, 255]),
        ("L", encoded(GREY, "PNG"), (2, 3, 1), GREY.ravel().tolist()),
        ("L", encoded(GREY, "PNG", transparency=128), (2, 3, 1), [0, 1, 2, 127, 255, 255]),
        ("LA", encoded(DRAWN[..., 2:], "PNG"), (1, 3, 1), [255, 127, 0]),
        ("LA", encoded(DRAWN[..., 2:], "TIFF"), (1, 3, 3), grey(255, 127, 0)),
        ("P", encoded(PALETTE, "PNG"), (1, 3, 3), [10, 20, 30, 40, 50, 60, 70, 80, 90]),
        (
            *("P", encoded(PALETTE, "PNG", transparency=1), (1, 3, 3)),
            [10, 20, 30, 255, 255, 255, 70, 80, 90],
        ),
        (
            *("P", encoded(PALETTE, "PNG", transparency=bytes([255, 0, 128])), (1, 3, 3)),
            [10, 20, 30, 255, 255, 255, 162, 167, 172],
        ),
        (
            *("P", encoded(PALETTE, "GIF", transparency=2), (1, 3, 3)),
            [10, 20, 30, 40, 50, 60, 255, 255, 255],
        ),
        ("RGB", encoded(np.dstack([GREY] * 3), "BMP"), (2, 3, 1), GREY.ravel().tolist()),
        ("RGB", encoded(np.dstack([GREY] * 3), "PPM"), (2, 3, 3), grey(*GREY.ravel())),
        ("RGBA", encoded(DRAWN, "PNG"), (1, 3, 3), grey(255, 127, 0)),
        ("RGBA", encoded(DRAWN, "WEBP", lossless=True), (1, 3, 1), [255, 127, 0]),
        ("I;16", encoded(DEEP, "PNG"), (2, 3, 1), [0, 0, 1, 1, 117, 255]),
        ("I;16", encoded(DEEP, "PNG", transparency=257), (2, 3, 1), [0, 0, 1, 255, 117, 255]),
        ("I;16", encoded(DEEP, "TIFF"), (2, 3, 3), grey(0, 0, 1, 1, 117, 255)),
        ("I;16B", encoded(BIG_ENDIAN, "TIFF"), (2, 3, 1), [0, 0, 1, 1, 117, 255]),
        ("I;16", encoded(DEEP, "TIFF", tiffinfo={262: 0}), (2, 3, 1), [255, 255, 254, 254, 138, 0]),
        ("I", encoded(DEEP, "PPM"), (2, 3, 1), [0, 0, 1, 1, 117, 255]),
        ("CMYK", encoded(RED_INK, "JPEG", quality=100), (1, 1, 3), [255, 0, 0]),
        ("YCbCr", encoded(SHADED, "TIFF"), (1, 1, 3), [198, 30, 59]),
        ("RGB", encoded(SHADED, "JPEG", quality=100), (1, 1, 3), [199, 30, 59]),
    ],
)
def test_each_mode_is_converted_to_8_bits(
    mode: str, content: bytes, shape: tuple[int, int, int], expected: list[int]
) -> None:
    assert Image.open(io.BytesIO(content)).mode == mode
    assert list(decoded(content, Form(*shape))[0]) == expected


@pytest.mark.parametrize(
    ("background", "expected"),
    [("black", [0, 0, 0]), ("#00f", [0, 0, 255]), ("white", [255, 255, 255])],
)
def test_transparent_pixels_show_the_background(background: str, expected: list[int]) -> None:
    made, done = decoded(encoded(DRAWN, "PNG"), Form(1, 3, 3, background))
    assert list(made)[:3] == expected
    assert done == (f"with transparent pixels laid on {background}",)


def test_an_opaque_alpha_channel_changes_nothing() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (9, 9, 3)).astype(np.uint8)
    opaque = np.dstack([colours, np.full((9, 9), 255, np.uint8)])
    for channels in (1, 3):
        form = Form(9, 9, channels)
        assert decoded(encoded(opaque, "PNG"), form) == decoded(encoded(colours, "PNG"), form)


FLOATS = (DEEP / 65535).astype(np.float32)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (DEEP.astype(np.int32), "32 bits, values 0 to 65535"),
        (FLOATS, "floats, values 0 to 1"),
        (-DEEP.astype(np.int32), "32 bits, values -65535 to 0"),
    ],
)
def test_32_bits_and_floats_are_refused_without_a_range(values: Any, found: str) -> None:
    with pytest.raises(DeepPicture, match=found):
        decoded(encoded(values, "TIFF"), Form(2, 3, 1))


def test_12_bits_are_refused_without_a_range() -> None:
    twelve = encoded(Image.new("I;16", (2, 1), 4095), "TIFF").replace(
        b"\x02\x01\x03\x00\x01\x00\x00\x00\x10", b"\x02\x01\x03\x00\x01\x00\x00\x00\x0c"
    )
    assert Image.open(io.BytesIO(twelve)).mode == "I;16"
    with pytest.raises(DeepPicture, match="12 bits"):
        decoded(twelve, Form(1, 2, 1))


@pytest.mark.parametrize(
    ("values", "scale", "expected"),
    [
        (FLOATS, (0.0, 1.0), [0, 0, 1, 1, 117, 255]),
        (FLOATS, (0.4, 0.5), [0, 0, 0, 0, 147, 255]),
        (DEEP.astype(np.int32), (0.0, 510.0), [0, 64, 64, 128, 255, 255]),
        (DEEP, (0.0, 510.0), [0, 64, 64, 128, 255, 255]),
        (GREY, (0.0, 10.0), GREY.ravel().tolist()),
    ],
)
def test_a_declared_range_scales_pictures_of_more_than_8_bits(
    values: Any, scale: tuple[float, float], expected: list[int]
) -> None:
    made, _ = decoded(encoded(values, "TIFF"), Form(2, 3, 1, range=scale))
    assert list(made) == expected


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="values that are not numbers"):
        decoded(encoded(FLOATS * np.nan, "TIFF"), Form(2, 3, 1, range=(0, 1)))


@pytest.mark.parametrize(
    ("format", "arguments", "deep"),
    [
        ("PNG", {}, False),
        ("PNG", {}, True),
        ("JPEG", {"quality": 100}, False),
        ("WEBP", {"lossless": True}, False),
        ("TIFF", {}, False),
        ("TIFF", {}, True),
        ("TIFF", {"compression": "tiff_lzw"}, True),
    ],
)
def test_the_exif_orientation_is_applied(
    format: str, arguments: dict[str, Any], deep: bool, tmp_path: Path
) -> None:
    seen = np.array([[0, 40, 80], [120, 160, 200]], np.uint8)
    stored = {
        1: seen,
        2: seen[:, ::-1],
        3: seen[::-1, ::-1],
        4: seen[::-1],
        5: seen.T,
        6: np.rot90(seen, 1),
        7: seen[::-1, ::-1].T,
        8: np.rot90(seen, -1),
    }
    for orientation, turned in stored.items():
        exif = Image.Exif()
        exif[274] = orientation
        values = turned.astype(np.uint16) * 257 if deep else turned
        file = tmp_path / "a.picture"
        file.write_bytes(encoded(np.ascontiguousarray(values), format, exif=exif, **arguments))
        assert header_of(file)[:2] == (2, 3)
        made, done = decoded(file, Form(2, 3, 1))
        assert list(made) == seen.ravel().tolist()
        assert ("turned by their EXIF orientation" in done) == (orientation > 1)
        assert ("of more than 8 bits scaled to 8" in done) == deep


def test_damaged_exif_data_do_no_harm() -> None:
    content = encoded(GREY, "PNG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01")
    assert list(decoded(content, Form(2, 3, 1))[0]) == GREY.ravel().tolist()


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_of_several_frames_is_used(format: str) -> None:
    frames = [Image.new("RGB", (1, 1), colour) for colour in ("red", "blue")]
    lossless = {"lossless": True} if format == "WEBP" else {}
    several = encoded(frames[0], format, save_all=True, append_images=frames[1:], **lossless)
    reduced = ("of several frames reduced to the first",)
    assert decoded(several, Form(1, 1, 3)) == (bytes([255, 0, 0]), reduced)
    assert decoded(encoded(frames[0], format, **lossless), Form(1, 1, 3))[1] == ()


SHAPE = (3, 4, 3)
SHADES = np.random.default_rng(1).integers(0, 256, SHAPE).astype(np.uint8)


def base64_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.mark.parametrize(
    "value",
    [
        SHADES.tobytes(),
        base64_of(SHADES.tobytes()),
        SHADES.tolist(),
        SHADES,
        encoded(SHADES, "PNG"),
        base64_of(encoded(SHADES, "PNG")),
        "data:image/png;base64," + base64_of(encoded(SHADES, "PNG")),
    ],
)
def test_pixels_lists_and_picture_files_are_accepted(value: object) -> None:
    np.testing.assert_array_equal(pixels(value, Form(*SHAPE)), SHADES)


@pytest.mark.parametrize("format", ["PNG", "BMP", "GIF", "PPM", "TIFF"])
def test_a_file_as_long_as_the_pixels_is_a_file(format: str) -> None:
    content = encoded(np.full((5, 5), 9, np.uint8), format)
    found = pixels(content, Form(1, len(content), 1))
    assert (found == 9).all()


def test_pixels_that_begin_like_a_file_are_pixels() -> None:
    for start in (b"BM", b"P5\n", b"\xff\xd8\xff", b"\0\0\1\0", b"GIF8"):
        content = start.ljust(36, b"\7")
        assert pixels(content, Form(*SHAPE)).tobytes() == content


def bomb() -> bytes:
    """Return a picture of 30,000 × 30,000 pixels of one colour, without its pixels."""
    head = encoded(np.zeros((1, 1), np.uint8), "BMP")
    return head[:18] + (30_000).to_bytes(4, "little") * 2 + head[26:]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"no picture", "cannot be read: not a picture"),
        ("no base64!", "must be base64 text, found 'no base64!'"),
        ("data:image/png,%89PNG", "must be base64 text"),
        (
            encoded(SHADES.repeat(30, 0).repeat(30, 1), "JPEG")[:1000],
            "cannot be read: damaged: .*truncated",
        ),
        (bomb(), r"cannot be read: more than 89,478,485 pixels"),
        (encoded(FLOATS, "TIFF"), "cannot be read: floats, values 0 to 1"),
        ([[1, 2]], r"of shape \(3, 4, 3\)"),
        (None, r"of shape \(3, 4, 3\)"),
    ],
)
def test_anything_else_is_refused_in_one_sentence(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pixels(value, Form(*SHAPE))


def test_a_damaged_file_raises_no_other_error() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (20, 20, 4)).astype(np.uint8)
    whole = [encoded(noise, format) for format in ("PNG", "WEBP", "TIFF")]
    whole += [encoded(noise[..., :3], format) for format in ("JPEG", "BMP", "GIF", "PPM")]
    for number in range(700):
        content = bytearray(whole[number % len(whole)])
        for place in rng.integers(0, min(200, len(content)), 3):
            content[place] = rng.integers(0, 256)
        with suppress(ValueError):
            assert pixels(bytes(content), Form(5, 5, 3)).shape == (5, 5, 3)
