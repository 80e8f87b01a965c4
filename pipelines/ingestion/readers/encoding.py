"""Detection of a text's encoding, and its conversion to UTF-8."""

from __future__ import annotations

import codecs
import re
from contextlib import suppress
from pathlib import Path

from gristmill.pipelines.ingestion.readers.faults import declare, unreadable
from gristmill.pipelines.ingestion.readers.wrapped import MAGIC, Readable

MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order marks; a longer one comes before the one that it begins with."""

SIGNS = frozenset("€£§°µ«»“”‘’–—…·²³½©®™\u00a0")
"""Characters that occur in otherwise English text."""

HANGUL = 0.8
"""Minimum share of Hangul in Korean text; Chinese text decoded as Korean has about a half."""

LETTERS = frozenset("ŠšŽžŒœŸ") | frozenset(map(chr, range(0xC0, 0x100)))
"""Letters of Western European languages in Windows' encoding."""

DECLARE = f"{declare('encoding', '…')}, or save it as UTF-8"

FOREIGN = ("cp932", "gb18030", "big5", "cp1251", "cp1250", "cp1253", "cp1254", "cp874")
"""Encodings that are not detected; those that a text can have are named in the error."""


def guess_encoding(raw: Path, start: bytes, whole: bool) -> str | None:
    """Guess the encoding of a text from its first bytes.

    Byte order marks are checked first; then UTF-8, which other text hardly ever matches by
    chance; then CP949, if the characters outside ASCII are mostly Hangul; then Windows-1252 and
    Latin-1, if such characters occur singly between ASCII letters. Other encodings cannot be
    distinguished from these.

    Args:
        raw: the file, to be named in an error.
        start: the first bytes.
        whole: whether these are all bytes of the file.

    Returns:
        Python's name of the encoding; None if all bytes are ASCII so far.

    Raises:
        InputError: no encoding fits, or the file is not text.
    """
    for mark, name in MARKS.items():
        if start.startswith(mark):
            return name
    if b"\0" in start:
        return _utf_16(raw, start)
    if start.isascii():
        return None
    for name in ("utf-8", "cp949", "cp1252", "latin-1"):
        if name == "cp1252" and _mostly_utf_8(start):
            return "utf-8"  # reading the wrong line raises an error that names it
        text = _decoded(start, name, whole)
        if text is not None and _plausible(text, start, name):
            if name == "cp949" and _japanese(_decoded(start, "cp932", whole) or ""):
                raise unreadable(
                    raw,
                    "text in one encoding",
                    "text that can be Japanese in cp932 (Shift-JIS) or Korean in cp949",
                    f"{declare('encoding', 'cp932')}\n{declare('encoding', 'cp949')}",
                )
            return codecs.lookup(name).name
    fits = [name for name in FOREIGN if _decoded(start, name, whole) is not None]
    place = next(i for i, byte in enumerate(start) if byte > 127)
    line = start.count(b"\n", 0, place) + 1
    raise unreadable(
        raw,
        "text in UTF-8, UTF-16, CP949 or Latin-1",
        f"line {line} is in none of them",
        DECLARE + (f"\nit can be {', '.join(fits)}" if fits else ""),
    )


def _utf_16(raw: Path, start: bytes) -> str:
    even, odd = start[0::2].count(0), start[1::2].count(0)
    for name, zeros, others in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        if not others and zeros > len(start) // 20 and "\n" in (_decoded(start, name, False) or ""):
            return name
    kind = next((words for magic, words in MAGIC.items() if start.startswith(magic)), None)
    line = start.count(b"\n", 0, start.index(0)) + 1
    raise unreadable(
        raw, "text, such as CSV in UTF-8, or a .parquet file", kind or f"binary data in line {line}"
    )


def _decoded(start: bytes, encoding: str, whole: bool) -> str | None:
    with suppress(UnicodeDecodeError):
        return codecs.getincrementaldecoder(encoding)("strict").decode(start, final=whole)
    return None


def _mostly_utf_8(start: bytes) -> bool:
    """Check whether more characters are valid UTF-8 than are not."""
    foreign = re.findall(r"[^\0-\x7f]", start.decode("utf-8", errors="replace"))
    return 2 * foreign.count("\ufffd") <= len(foreign)


def _japanese(text: str) -> bool:
    """Return whether the letters outside ASCII are mostly kana and kanji of full width."""
    foreign: list[str] = re.findall(r"[^\0-\x7f]", text)
    return (
        0
        < HANGUL * len(foreign)
        < len(re.findall("[\u3000-\u30ff\u4e00-\u9fff\uff01-\uff5e]", text))
    )


def _plausible(text: str, start: bytes, encoding: str) -> bool:
    if encoding == "utf-8":
        return True
    foreign: list[str] = re.findall(r"[^\0-\x7f]", text)
    if encoding == "cp949":
        return sum("가" <= letter <= "힣" for letter in foreign) > HANGUL * len(foreign)
    # in a multi-byte encoding, two letters would be a run of four
    together: list[str] = re.findall(r"[^\0-\x7f]{3,}", text)
    letters = sum(letter in LETTERS for letter in foreign)
    return bool(
        sum(map(len, together)) < len(foreign) / 3
        and all(letter in SIGNS or letter >= "\xa0" for letter in foreign)
        and (letters >= len(foreign) / 2 or all(letter in SIGNS for letter in foreign))
    )


class Utf8:
    """A stream of text in any encoding, converted to UTF-8 without a byte order mark."""

    def __init__(self, raw: Path, stream: Readable, encoding: str) -> None:
        self._raw, self._stream, self._encoding = raw, stream, codecs.lookup(encoding).name
        self._plain = self._encoding in ("utf-8", "utf-8-sig")
        self._decoder = codecs.getincrementaldecoder(encoding)("strict")
        self._lines, self._began = 1, False

    def read(self, size: int, /) -> bytes:
        """Return about `size` bytes; none at the end."""
        if not self._began:
            self._began = True
            start = self._read(max(size, 3))
            return start.removeprefix(codecs.BOM_UTF8) or self._read(size)
        return self._read(size)

    def _read(self, size: int) -> bytes:
        while True:
            data = self._stream.read(size)
            if self._plain:
                return data
            try:
                text = self._decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                good = bytes(error.object[: error.start])
                lines = self._lines + good.decode(self._encoding, errors="ignore").count("\n")
                raise not_in(self._raw, self._encoding, lines) from error
            if text or not data:
                out = text.encode("utf-8")
                self._lines += out.count(b"\n")
                return out


def not_in(raw: Path, encoding: str, line: int) -> Exception:
    """Return the error for bytes that are invalid in an encoding.

    Args:
        raw: the file.
        encoding: Python's name of it.
        line: number of the line with these bytes, from 1.
    """
    name = "UTF-8" if encoding.startswith("utf-8") else encoding
    return unreadable(raw, f"text in {name}", f"line {line} is not in {name}", DECLARE)
