"""Which axis of images holds the channels."""

from ncsn.data.picked import LAYOUTS
from ncsn.errors import DataError, SettingError

USUAL_CHANNELS = (1, 3, 4)
"""Numbers of channels by which an axis is known: grey, colour, and colour with transparency or a fourth ink."""


def has_channels_last(shape: tuple[int, ...], channels: str | None = None) -> bool:
    """Return whether images of a shape have their channels on the last axis.

    They have where the last axis has 1, 3 or 4 values and the others more. Images of two axes have no channels, and those of
    more than three have them on the first.

    Args:
        shape: The shape of one image.
        channels: What is said of it, ``first`` or ``last``; None for nothing.

    Raises:
        DataError: Both could be, or channels are said of images that have none.
        SettingError: ``channels`` is something else.

    >>> has_channels_last((32, 48, 3)), has_channels_last((3, 32, 48)), has_channels_last((2, 5, 8))
    (True, False, False)
    """
    if channels not in (None, *LAYOUTS):
        raise SettingError(f"channels must be 'first' or 'last', not {channels!r}")
    if len(shape) != 3:
        if channels is not None:
            raise DataError(f"images of shape {shape} have no axis of channels, so channels={channels!r} says nothing")
        return False
    if channels is not None:
        return channels == "last"
    first, middle, last = shape
    if last not in USUAL_CHANNELS or (first in USUAL_CHANNELS and min(middle, last) > first):
        return False
    if first not in USUAL_CHANNELS:
        return min(first, middle) > last
    raise DataError(
        f"images of shape {shape} may have their channels first or last: say which by --channels, by "
        "load(..., channels='last'), or of an array by Rows(X, channels='last')"
    )
