"""Pictures of any kind to pixels of 8 bits in one form: for ingest, `score` and served packages.

A copy of this file is part of every package of a model of pictures: it is stored beside the model
and loaded from there. It therefore imports only numpy and Pillow.
"""

from __future__ import annotations

import base64
import io
import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
"""Pillow's names of the formats that are read. Others have no signature that raw pixels cannot
have by chance, or need programs that are not installed everywhere."""

TURNING, SWAPPING = range(2, 9), range(5, 9)
"""EXIF orientations that turn a picture, and those that also swap height and width."""

ORIENTATION, BITS, PHOTOMETRIC, SAMPLE_FORMAT = 274, 258, 262, 339
"""Tags of EXIF and TIFF."""

DAMAGED = (
    *(OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError),
    *(struct.error, Warning),
)
"""Exceptions that Pillow raises for damaged files, and its warnings where these are errors."""

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.float32]


@dataclass(frozen=True)
class Form:
    """What all pictures are converted to.

    Attributes:
        height, width: in pixels.
        channels: 1 for grey, 3 for colour.
        background: the colour behind transparent pixels, by its name or as #rrggbb.
        range: the values that become black and white, for pictures of more than 8 bits; None: 0 and
            65535 for those of 16 bits; others are refused.
    """

    height: int
    width: int
    channels: int
    background: str = "white"
    range: tuple[float, float] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return self.height, self.width, self.channels

    @property
    def size(self) -> int:
        """Number of values of a picture."""
        return math.prod(self.shape)


class DeepPicture(ValueError):
    """A picture of more than 16 bits, or of an unusual scale, without a declared range."""


def pixels(value: object, form: Form) -> Pixels:
    """Return the pixels of one picture, with values from 0 to 255.

    Args:
        value: the content of a picture file; or the pixels, row by row, as bytes or (nested) lists.
            Bytes can be base64 text or a data URL, for JSON.
        form: the form; a picture file of another one is converted.

    Returns:
        (height, width, channels), uint8 from bytes and float32 from lists.

    Raises:
        ValueError: the value is not a picture, or cannot be converted.
    """
    if isinstance(value, str):
        text = value.partition(",")[2] if value.startswith("data:") else value
        try:
            value = base64.b64decode(text, validate=True)
        except ValueError as error:
            raise ValueError(f"a picture must be base64 text, found {value[:40]!r}") from error
    if isinstance(value, bytes | bytearray | memoryview):
        content = bytes(value)
        if len(content) != form.size or _is_file(content):
            try:
                content, _ = decoded(content, form)
            except ValueError as error:
                raise ValueError(f"a picture cannot be read: {error}") from error
        return np.frombuffer(content, np.uint8).reshape(form.shape)
    try:
        return np.asarray(value, dtype=np.float32).reshape(form.shape)
    except (TypeError, ValueError) as error:
        raise ValueError(f"a picture must be of shape {form.shape}, or a picture file") from error


def decoded(file: Path | bytes, form: Form) -> tuple[bytes, tuple[str, ...]]:
    """Return the pixels of a picture file in a form, and what was done to it besides resizing.

    16 bits become 8. The picture is turned as its EXIF orientation says. Transparent pixels show
    the background. Of several frames the first one is used.

    Args:
        file: its path or content.
        form: what it is converted to.

    Returns:
        The pixels, row by row; and words that complete "3 pictures …".

    Raises:
        DeepPicture: the values have no known scale, and no range is declared.
        ValueError: the file is not a picture, damaged or too large.
        OSError: there is no such file, or no permission to read it.
    """
    with _opened(file) as image:
        try:
            turned = _turn(image)
            made, deep = image, image.mode[0] in "IF"
            if deep:
                made = _grey(made, form.range)
            clear = made.has_transparency_data and _alpha(made).getextrema()[0] < 255
            if clear:
                made = _laid_on(made, form.background)
            fit = fitted(made, form)
            several = image.format != "MPO" and getattr(image, "is_animated", False)
        except DeepPicture:
            raise
        except DAMAGED as error:
            raise ValueError(f"damaged: {error}"[:120]) from error
    deeds = {
        "turned by their EXIF orientation": turned,
        "of more than 8 bits scaled to 8": deep,
        f"with transparent pixels laid on {form.background}": clear,
        "of several frames reduced to the first": several,
    }
    return fit, tuple(deed for deed, done in deeds.items() if done)


def fitted(image: Any, form: Form) -> bytes:
    """Return the pixels of an image of 8 bits in a form; it is resized bilinearly if needed."""
    from PIL import Image

    made = image.convert("L" if form.channels == 1 else "RGB")
    if made.size != (form.width, form.height):
        made = made.resize((form.width, form.height), Image.Resampling.BILINEAR)
    return bytes(made.tobytes())


def header_of(file: Path) -> tuple[int, int, int]:
    """Return height, width and channels of a picture file, from its header.

    Raises:
        ValueError: the file is not a picture, or too large.
        OSError: there is no such file, or no permission to read it.
    """
    from PIL import Image

    with _opened(file) as image:
        width, height = image.size
        channels = 1 if image.mode in ("1", "L", "LA") or image.mode[0] in "IF" else 3
        if image.format != "TIFF":  # Pillow has swapped these already
            with suppress(*DAMAGED):
                exif = Image.Image.getexif(image)  # that of PNG would load the whole picture
                if exif.get(ORIENTATION) in SWAPPING:
                    height, width = width, height
    return height, width, channels


def _is_file(content: bytes) -> bool:
    with suppress(ValueError), _opened(content):
        return True
    return False


@contextmanager
def _opened(file: Path | bytes) -> Iterator[Any]:
    """Open a picture as a stream: Pillow maps files into memory with turned sides exchanged.

    Raises:
        ValueError: the file is not a picture, or too large.
    """
    stream = io.BytesIO(file) if isinstance(file, bytes) else file.open("rb")
    with stream, _image(stream) as image:
        yield image


def _image(stream: BinaryIO) -> Any:
    from PIL import Image, UnidentifiedImageError

    most = Image.MAX_IMAGE_PIXELS or math.inf
    try:
        image = Image.open(stream, formats=FORMATS)
        if image.width * image.height <= most:
            return image
    except UnidentifiedImageError as error:
        raise ValueError("not a picture") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        pass
    except DAMAGED as error:
        raise ValueError(f"damaged: {error}"[:120]) from error
    raise ValueError(f"more than {most:,} pixels")


def _turn(image: Any) -> bool:
    """Load a picture, turn it in place as its EXIF orientation says, and return whether it did."""
    from PIL import ImageOps

    orientation = 1
    with suppress(*DAMAGED):  # damaged EXIF data do no harm
        orientation = image.getexif().get(ORIENTATION, 1)  # before Pillow itself turns a TIFF
    image.load()
    with suppress(*DAMAGED):
        ImageOps.exif_transpose(image, in_place=True)
    return orientation in TURNING


def _alpha(image: Any) -> Any:
    return image.convert("RGBA").getchannel("A")


def _laid_on(image: Any, background: str) -> Any:
    from PIL import Image

    ground = Image.new("RGBA", image.size, background)
    return Image.alpha_composite(ground, image.convert("RGBA")).convert("RGB")


def _grey(image: Any, scale: tuple[float, float] | None) -> Any:
    """Convert a picture of one channel of more than 8 bits to grey of 8 bits, by a linear scale.

    Raises:
        DeepPicture: the scale is neither declared nor that of 16 bits.
        ValueError: not all values are finite.
    """
    from PIL import Image

    values, tags = np.asarray(image), getattr(image, "tag_v2", {})
    bits = tags.get(BITS, (16,))[0] if image.mode.startswith("I;16") else 32
    if image.format == "PPM" and image.mode == "I":
        bits = 16
    if bits == 32 and image.mode == "I" and tags.get(SAMPLE_FORMAT, (2,))[0] == 1:
        values = values.view(np.uint32)
    if not np.isfinite(values).all():
        raise ValueError("values that are not numbers")
    if scale is None and bits != 16:
        kind = "floats" if image.mode == "F" else f"{bits} bits"
        raise DeepPicture(f"{kind}, values {values.min():g} to {values.max():g}")
    low, high = scale or (0, 65535)
    shades = np.rint((np.clip(values, low, high) - low) * (255 / (high - low))).astype(np.uint8)
    if tags.get(PHOTOMETRIC) == 0:  # 0 is white; Pillow turns only 8 bits
        shades = 255 - shades
    made = Image.fromarray(shades)
    clear = image.info.get("transparency")
    if clear is not None:
        made.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    return made
