"""Pictures of any kind that Pillow reads become 8-bit images of one size, in one array."""

from __future__ import annotations

import io
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageOps

from ncsn.data.faults import FAULTS
from ncsn.data.layout import has_channels_last
from ncsn.data.picked import LAYOUTS
from ncsn.errors import DataError, SettingError

_GREY = ("1", "L", "LA", "La")
_NAMED = 5

_READ = frozenset(("1", "CMYK", "HSV", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "YCbCr"))
"""Pillow's modes that are read: grey and colour in 8 bits."""


@contextmanager
def within_limits(name: Path | str) -> Iterator[None]:
    """Refuse pictures that are too large before they are decoded, and keep Pillow's remarks on their tags to itself.

    Args:
        name: The picture, for the message.

    Raises:
        DataError: A picture has more pixels than Pillow takes for harmless.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        most = (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise DataError(f"{name}: a picture of more than {most} million pixels; make it smaller first") from error


def is_image(content: bytes) -> bool:
    """Return whether bytes begin as a file of a picture does."""
    try:
        with within_limits("it"), Image.open(io.BytesIO(content)):
            return True
    except DataError:
        # it is refused as the picture that it is
        return True
    except FAULTS:
        return False


@dataclass(frozen=True)
class Reading:
    """How images are read.

    Attributes:
        size: Width and height that they are cropped and resized to, ``32`` or ``32x48``; None to leave them as they are.
        background: The colour that transparent pixels are laid on; ``none`` keeps transparency as a fourth channel.
        channels: Where arrays have their channels, ``first`` or ``last``; None where their shape says it.

    Raises:
        SettingError: One of them is something else.
    """

    size: str | None = None
    background: str = "white"
    channels: str | None = None

    def __post_init__(self) -> None:
        if self.size is not None and not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)?", self.size):
            raise SettingError(
                f"size must be pixels, such as 32, or width and height, such as 32x48, not {self.size!r}"
            )
        if self.channels not in (None, *LAYOUTS):
            raise SettingError(f"channels must be 'first' or 'last', not {self.channels!r}")
        try:
            _ = self.colour
        except ValueError as error:
            raise SettingError(
                f"background must be a colour, such as white, '#ffcc00', or none to keep transparency, not {self.background!r}"
            ) from error

    @property
    def pixels(self) -> tuple[int, int] | None:
        """Width and height, or None."""
        if self.size is None:
            return None
        width, _, height = self.size.partition("x")
        return int(width), int(height or width)

    @property
    def colour(self) -> tuple[int, ...] | None:
        """The background as red, green and blue; None to keep transparency."""
        return None if self.background == "none" else ImageColor.getrgb(self.background)[:3]


class Pile:
    """Pictures that are added one by one, and become an array in the end; it is all that is in memory.

    Args:
        n: How many are to come.
        reading: How they are read.
    """

    def __init__(self, n: int, reading: Reading) -> None:
        self.n, self.reading = n, reading
        self.sizes: Counter[tuple[int, int]] = Counter()
        self.pixels: NDArray[np.uint8] | None = None
        self.count, self.animated, self.transparent, self.deep = 0, 0, 0, 0
        self.unreadable: list[str] = []

    def read(self, name: str, file: Path | IO[bytes]) -> None:
        """Add the picture of a file, or remember that it cannot be read.

        Raises:
            DataError: It is neither grey nor in colour, in grey of more than 8 bits, or too large.
        """
        try:
            with within_limits(name), Image.open(file) as image:
                animated = getattr(image, "is_animated", False)
                # Pillow keeps the upper half of colours in 16 bits, and says so only here
                deep = any("16" in str(tile) for tile in getattr(image, "tile", ()))
                upright = ImageOps.exif_transpose(image)
        except DataError:
            raise
        except FAULTS:
            self.unreadable.append(name)
            return
        if upright.mode not in _READ:
            raise DataError(f"{name}: not an 8-bit image (mode {upright.mode}); convert it, or save the pixels as .npy")
        self.animated += animated
        self.deep += deep
        self.add(upright)

    def add(self, picture: Image.Image) -> None:
        """Add a picture, laid on the background and resized."""
        flat = self._flat(picture)
        self.sizes[flat.size] += 1
        if self.reading.pixels is not None:
            flat = ImageOps.fit(flat, self.reading.pixels, Image.Resampling.LANCZOS)
        elif len(self.sizes) > 1:
            # they are refused in the end, with the counts of all sizes
            return
        array = np.asarray(flat).reshape(flat.height, flat.width, -1).transpose(2, 0, 1)
        pixels = self._room(array.shape)
        pixels[self.count, : min(3, len(pixels[0]))] = array[:3]
        if len(pixels[0]) == 4:
            pixels[self.count, 3] = array[3] if len(array) == 4 else 255
        self.count += 1

    def _flat(self, picture: Image.Image) -> Image.Image:
        """Return a picture in grey or colour, without transparency unless that is kept."""
        grey = picture.mode in _GREY
        if not picture.has_transparency_data:
            return picture.convert("L" if grey else "RGB")
        clear = picture.convert("RGBA")
        least: Any = clear.getchannel("A").getextrema()[0]
        self.transparent += least < 255
        colour = self.reading.colour
        if colour is None:
            return clear
        laid = Image.alpha_composite(Image.new("RGBA", clear.size, colour), clear)
        return laid.convert("L" if grey and len(set(colour)) == 1 else "RGB")

    def _room(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Return the array, with channels enough for a picture of a shape."""
        old = self.pixels
        if old is None or old.shape[1] < shape[0]:
            self.pixels = np.empty((self.n, *shape), np.uint8)
            if old is not None:
                self.pixels[: self.count, :3] = old[: self.count, :3]
                self.pixels[: self.count, 3:] = 255
            return self.pixels
        return old

    @property
    def seen(self) -> int:
        """How many pictures were to be added, readable or not."""
        return sum(self.sizes.values()) + len(self.unreadable)

    def images(self, where: str) -> NDArray[np.uint8]:
        """Return the images, ``(N, C, H, W)`` from 0 to 255: one channel if all are grey.

        Raises:
            DataError: Files cannot be read, or are of several sizes.
        """
        if self.unreadable:
            bad, more = self.unreadable, len(self.unreadable) - _NAMED
            if len(bad) == 1:
                raise DataError(f"{bad[0]}: cannot be read as an image; replace or remove it")
            them = ", ".join(bad[:_NAMED]) + (f" and {more} more" if more > 0 else "")
            raise DataError(f"{where}: {len(bad)} files cannot be read as images ({them}); replace or remove them")
        if not self.sizes:
            raise DataError(f"{where}: holds no image; save it anew")
        if self.pixels is None or (len(self.sizes) > 1 and self.reading.pixels is None):
            counted = self.sizes.most_common()
            parts = [f"{count:,} of {width} x {height}" for (width, height), count in counted[:_NAMED]]
            others = f" and {len(counted) - _NAMED} other sizes" if len(counted) > _NAMED else ""
            width, height = counted[0][0]
            raise DataError(
                f"{where}: images of {len(counted)} sizes, {', '.join(parts)}{others}; --size {width}x{height} (or "
                f"size='{width}x{height}' of load) crops and resizes them"
            )
        return self.pixels

    def notes(self) -> Iterator[str]:
        """Yield what had to be decided, each a short sentence."""
        if self.transparent:
            of = "1 image has" if self.transparent == 1 else f"{self.transparent:,} images have"
            kept = self.reading.colour is None
            yield f"{of} transparency, {'kept as a fourth channel' if kept else f'laid on {self.reading.background}'}"
        if self.animated:
            of = "1 file holds" if self.animated == 1 else f"{self.animated:,} files hold"
            yield f"{of} several pictures, of which the first is taken"
        if self.deep:
            of = "1 image has" if self.deep == 1 else f"{self.deep:,} images have"
            yield f"{of} colours in 16 bits, of which the upper 8 are taken"
        if self.reading.pixels is not None and set(self.sizes) != {self.reading.pixels}:
            width, height = self.reading.pixels
            yield f"cropped and resized to {width} x {height} pixels from {_sizes(self.sizes)}"


def _sizes(sizes: Counter[tuple[int, int]]) -> str:
    return f"{len(sizes)} sizes" if len(sizes) > 1 else " x ".join(map(str, next(iter(sizes))))


def prepared(where: str, images: NDArray[Any], reading: Reading) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Return an array of images in the size that is asked for and without transparency, and what had to be decided.

    What has four channels of 8 bits is colour and transparency. Others, and where nothing is asked for, stay as they are.

    Raises:
        DataError: They are to be resized, and are not of 8 bits in grey or colour.
    """
    last = has_channels_last(images.shape[1:], reading.channels)
    # a picture's axes are height, width and channels
    upright = images if last or images.ndim != 4 else images.transpose(0, 2, 3, 1)
    n_channels = upright.shape[3] if upright.ndim == 4 else 1
    clear = upright.ndim == 4 and n_channels == 4 and images.dtype == np.uint8 and reading.colour is not None
    fits = reading.pixels in (None, tuple(upright.shape[2:0:-1]))
    if fits and not clear:
        return images, ()
    if images.dtype != np.uint8 or upright.ndim > 4 or n_channels not in (1, 3, 4):
        raise DataError(
            f"{where}: --size is for 8-bit images in grey or colour, not for {images.dtype} of shape {images.shape[1:]}"
        )
    pile = Pile(len(images), reading)
    for image in upright:
        pile.add(Image.fromarray(image[..., 0] if image.ndim == 3 and n_channels == 1 else image))
    made = pile.images(where)
    if images.ndim == 3:
        return made[:, 0], tuple(pile.notes())
    return np.moveaxis(made, 1, -1) if last else made, tuple(pile.notes())
