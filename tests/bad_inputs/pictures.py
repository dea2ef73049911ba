"""Pictures and masks in the odd ways that picture files allow."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from .bench import SIZE, Bench, scan
from .entry import Refused, Same, Works, bad
from .volumes import Commands, spoil

GREY, CLASSES = scan(0, SIZE)


def _image(bench: Bench, save: Callable[[Path], object]) -> Commands:
    return spoil(bench, save, dims=2)


def _mask(bench: Bench, save: Callable[[Path], object]) -> Commands:
    return spoil(bench, save, dims=2, part="labels")


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, data: bytes) -> bytes:
    """A PNG of grey that promises a size and has other data."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def _palette(path: Path) -> None:
    picture = Image.fromarray(CLASSES).convert("P")
    picture.putdata(CLASSES.ravel().tolist())
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    picture.save(path)


def _with_alpha(path: Path) -> None:
    alpha = np.full(SIZE, 128, np.uint8)
    Image.fromarray(np.stack([GREY, GREY, GREY, alpha], axis=2)).save(path)


@bad("picture: grey stored as RGBA with half transparency", Same(2))
def rgba(bench: Bench) -> Commands:
    return _image(bench, _with_alpha)


@bad("picture: 16-bit PNG", Works())
def deep(bench: Bench) -> Commands:
    return _image(bench, lambda path: Image.fromarray(GREY.astype(np.uint16) * 256).save(path))


@bad("picture: CMYK JPEG among grey ones", Refused(3, r"x\.jpg: 3 channel\(s\), but 1 expected"))
def cmyk(bench: Bench) -> Commands:
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 255, (*SIZE, 4)).astype(np.uint8), "CMYK")
    picture.save(bench.folder / "x.jpg")
    return bench.predict(bench.folder / "x.jpg", 2)


@bad("picture: grey JPEG", Works())
def grey_jpeg(bench: Bench) -> Commands:
    Image.fromarray(GREY).save(bench.folder / "x.jpg")
    return bench.predict(bench.folder / "x.jpg", 2)


def _of_a_phone(path: Path) -> None:
    second = Image.fromarray(np.ascontiguousarray(GREY[::2, ::2]))
    Image.fromarray(GREY).save(path, "MPO", save_all=True, append_images=[second])


@bad("picture: JPEG of a phone, with a second picture behind the first", Works())
def two_in_one(bench: Bench) -> Commands:
    _of_a_phone(bench.folder / "x.jpg")
    return bench.predict(bench.folder / "x.jpg", 2)


@bad("picture: cut short", Refused(3, r"p0\.png: cannot be read \(.*\); the file is damaged"))
def cut(bench: Bench) -> Commands:
    return _image(bench, lambda path: path.write_bytes(path.read_bytes()[:200]))


@bad("picture: a JPEG under the name of a PNG", Works())
def misnamed(bench: Bench) -> Commands:
    return _image(bench, lambda path: Image.fromarray(GREY).save(path, "JPEG"))


@bad(
    "picture: a page of HTML under the name of a PNG",
    Refused(3, r"p0\.png: cannot be read \(.*\); it begins as a web page"),
)
def html(bench: Bench) -> Commands:
    return _image(bench, lambda path: path.write_text("<html>404</html>"))


@bad(
    "picture: PNG that promises 9 million pixels and has ten",
    Refused(3, r"p0\.png: the header promises 9,000,000 by"),
)
def png_bomb(bench: Bench) -> Commands:
    return _image(bench, lambda path: path.write_bytes(png(3000, 3000, b"\0" * 10)))


@bad("picture: PNG of more pixels than are read", Refused(3, r"p0\.png: .*(pixels|values)"))
def png_giant(bench: Bench) -> Commands:
    return _image(bench, lambda path: path.write_bytes(png(10**6, 10**6, b"\0" * 10)))


@bad("picture: PNG with a text of a million bytes", Works())
def png_text(bench: Bench) -> Commands:
    def change(path: Path) -> None:
        content = path.read_bytes()
        text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"\0" * 10**6))
        path.write_bytes(content[:33] + text + content[33:])

    return _image(bench, change)


@bad(
    "picture: TIFF of several pages for a model of pictures",
    Refused(3, r"x\.tif: 3 spatial axes .* pictures"),
)
def pages(bench: Bench) -> Commands:
    tifffile.imwrite(bench.folder / "x.tif", np.stack([GREY] * 4), photometric="minisblack")
    return bench.predict(bench.folder / "x.tif", 2)


@bad("picture: TIFF that promises more than it has", Refused(3, r"x\.tif: "))
def tiff_bomb(bench: Bench) -> Commands:
    path = bench.folder / "x.tif"
    entries = [(256, 4, 200_000), (257, 4, 5000), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8),
               (277, 3, 1), (278, 4, 5000), (279, 4, 100)]  # fmt: skip
    body = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    path.write_bytes(struct.pack("<2sHIH", b"II", 42, 8, len(entries)) + body + b"\0" * 104)
    return bench.predict(path, 2)


@bad("picture: animated GIF", Refused(3, r"x\.gif: holds \d+ frames; expected one"))
def gif(bench: Bench) -> Commands:
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    frames[0].save(bench.folder / "x.gif", save_all=True, append_images=frames[1:])
    return bench.predict(bench.folder / "x.gif", 2)


@bad("picture: animated GIF under the name of a PNG", Refused(3, r"p0\.png: .*(frames|images|pages)"))
def hidden_gif(bench: Bench) -> Commands:
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    return _image(bench, lambda path: frames[0].save(path, "GIF", save_all=True, append_images=frames[1:]))


@bad("picture: one pixel", Works())
def one_pixel(bench: Bench) -> Commands:
    Image.fromarray(np.ones((1, 1), np.uint8)).save(bench.folder / "x.png")
    return bench.predict(bench.folder / "x.png", 2)


@bad(
    "picture: a volume's model for a picture",
    Refused(3, r"p0\.png: 2 spatial axes .* pictures with a model for"),
)
def wrong_model(bench: Bench) -> Commands:
    return bench.predict(bench.clean.image(2), 3)


@bad("mask: palette", Same(2))
def palette(bench: Bench) -> Commands:
    return _mask(bench, _palette)


@bad("mask: 16-bit grey", Same(2))
def deep_mask(bench: Bench) -> Commands:
    return _mask(bench, lambda path: Image.fromarray(CLASSES.astype(np.uint16)).save(path))


@bad("mask: grey stored as RGB", Same(2))
def grey_rgb(bench: Bench) -> Commands:
    return _mask(bench, lambda path: Image.fromarray(np.stack([CLASSES] * 3, axis=2)).save(path))


def _all_masks(bench: Bench, save: Callable[[Path, np.ndarray], object]) -> Commands:
    data = bench.copy(2)
    for number in range(3):
        save(data / "labels" / f"p{number}.png", scan(number, SIZE)[1])
    return bench.use(data)


@bad("mask: one colour per class", Works())
def coloured(bench: Bench) -> Commands:
    table = np.array([[0, 0, 0], [200, 30, 30], [30, 200, 30]], np.uint8)
    return _all_masks(bench, lambda path, classes: Image.fromarray(table[classes]).save(path))


@bad("mask: one bit", Works())
def one_bit(bench: Bench) -> Commands:
    return _all_masks(bench, lambda path, classes: Image.fromarray(classes > 0).save(path))


@bad(
    "mask: black and white with a few greys",
    Refused(3, r"p0.png: stray label values 60 .*, 128 .* beside 0, 255, each under 0.5%"),
)
def blurred(bench: Bench) -> Commands:
    def save(path: Path, classes: np.ndarray) -> None:
        grey = (classes > 0).astype(np.uint8) * 255
        if path.stem == "p0":
            grey[0, :2] = (60, 128)
        Image.fromarray(grey).save(path)

    return _all_masks(bench, save)


@bad("mask: JPEG", Refused(3, r"p0\.jpg: a mask stored as JPEG has blurred values at every border; .* PNG"))
def jpeg_mask(bench: Bench) -> Commands:
    data = bench.copy(2)
    (data / "labels" / "p0.png").unlink()
    Image.fromarray(CLASSES * 120).save(data / "labels" / "p0.jpg")
    return bench.use(data)
