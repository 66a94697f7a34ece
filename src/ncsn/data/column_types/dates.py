"""Columns of dates, times and durations, also where text writes them."""

from __future__ import annotations

import datetime
import math
import re
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from ncsn.data.column_types.base import ColumnType, Values, dtype_of, name_of_dtype
from ncsn.errors import DataError

STEPS = (86400.0, 3600.0, 60.0, 1.0, 0.001)
"""Seconds that dates can be whole multiples of, from the first on."""

PYTHON_DATES = "date"
"""The type's name where Python's dates without a time are held; `object` where its dates with one are."""

FORMATS_OF_DATES = tuple(
    day + time
    for day in (
        "%Y-%m-%d",
        "%d.%m.%Y",
        "%d/%m/%Y",
        "%m/%d/%Y",
        "%Y/%m/%d",
        "%d-%m-%Y",
        "%m-%d-%Y",
        "%Y%m%d",
        "%d %b %Y",
        "%b %d, %Y",
        "%d.%m.%y",
        "%d/%m/%y",
        "%m/%d/%y",
        "%-d.%-m.%Y",
        "%-d/%-m/%Y",
        "%-m/%-d/%Y",
    )
    for time in (
        "",
        " %H:%M:%S",
        "T%H:%M:%S",
        " %H:%M",
        "T%H:%M",
        *(
            f"{between}%H:%M:%S{fraction}{zone}"
            for between in " T"
            for fraction in ("", ".%L", ".%f")
            for zone in ("Z", "+00:00")
        ),
        *(f"{between}%H:%M:%S{fraction}" for between in " T" for fraction in (".%L", ".%f")),
    )
)
"""How text is tried to be read as dates, in this order; ``%-d`` is a day without a leading zero, ``%L`` milliseconds."""


@dataclass(frozen=True)
class Dates(ColumnType):
    """Dates, times or durations, as seconds, within the range that was seen; to the microsecond.

    Seconds are those since 1970. In a time zone they are counted by UTC, but where all dates are whole days apart by the
    zone's own clock, by that.

    Attributes:
        step: The seconds that they are whole multiples of, from the first on: 86,400 for days; 0 for none.
        low: The first.
        high: The last.
        format: How text writes them; None where the column holds dates as such.
    """

    kind: ClassVar[str] = "date"

    step: float
    low: float
    high: float
    format: str | None = None

    @classmethod
    def of(cls, column: pd.Series[Any], format: str | None = None) -> Dates:
        """Describe a column of dates, or of text in a format."""
        dtype = _name_of(column)
        seconds = cls(dtype, 0.0, np.nan, np.nan, format).numbers(column)
        if np.isnan(seconds).all():
            return cls(dtype, 0.0, np.nan, np.nan, format)
        step = _step_of(seconds)
        if _zone_of(dtype) is not None:
            by_clock = cls(dtype, STEPS[0], np.nan, np.nan)
            times = by_clock.numbers(column)
            # a clock that is set back shows some times twice
            if _step_of(times) == STEPS[0] and by_clock.cells(times).equals(column):
                seconds, step = times, STEPS[0]
            else:
                step = min(step, STEPS[1])
        return cls(dtype, step, float(np.nanmin(seconds)), float(np.nanmax(seconds)), format)

    @property
    def _lasts(self) -> bool:
        return self.dtype.startswith(("timedelta", "duration"))

    @property
    def _clock(self) -> Any:
        """The zone by whose clock the seconds are counted, or None."""
        return _zone_of(self.dtype) if self.step == STEPS[0] else None

    def numbers(self, column: pd.Series[Any]) -> Values:
        """Return seconds since 1970, or that a duration lasts."""
        kind = getattr(column.dtype, "kind", "O")
        if kind in "biufc" or kind == ("M" if self._lasts else "m"):
            raise DataError(f"holds {column.dtype}")
        try:
            return self._durations(column) if self._lasts else self._seconds(column)
        except (ValueError, TypeError, OverflowError) as error:
            raise DataError(f"holds what is no such date ({str(error).splitlines()[0]})") from error

    def _durations(self, column: pd.Series[Any]) -> Values:
        column = column.astype("timedelta64[us]") if isinstance(column.dtype, pd.ArrowDtype) else column
        return np.array(pd.to_timedelta(column).dt.total_seconds(), dtype=np.float64)

    def _seconds(self, column: pd.Series[Any]) -> Values:
        zone = _zone_of(self.dtype)
        if getattr(column.dtype, "kind", "O") != "M":
            column = column.astype(object)
            text = any(isinstance(cell, str) for cell in column)
            written = "ISO8601" if self.format is None else readable(self.format)
            column = pd.to_datetime(column, format=written if text else None)
        elif isinstance(column.dtype, pd.ArrowDtype):
            held = getattr(column.dtype.pyarrow_dtype, "tz", None)
            column = column.astype(dtype_of("datetime64[us]" if held is None else f"datetime64[us, {held}]"))
        if column.dt.tz is None and zone is not None:
            column = column.dt.tz_localize(zone)
        if column.dt.tz is not None:
            column = column.dt.tz_convert(self._clock or "UTC").dt.tz_localize(None)
        seconds = column.dt.as_unit("us").astype("int64").to_numpy(dtype=np.float64) / 1e6
        return np.where(column.isna(), np.nan, seconds)

    def cells(self, numbers: Values) -> pd.Series[Any]:
        """Return dates on the column's own steps."""
        missing = np.isnan(numbers)
        if not math.isnan(self.low):
            numbers = np.clip(numbers, self.low, self.high)
            if self.step:
                # the last one may be on no step from the first
                numbers = np.minimum(self.low + np.round((numbers - self.low) / self.step) * self.step, self.high)
        # whole microseconds are exact in float64 for some hundred years around 1970
        whole = pd.Series(np.round(np.where(missing, 0, numbers) * 1e6).astype(np.int64))
        if self._lasts:
            return pd.to_timedelta(whole, unit="us").mask(missing).astype(dtype_of(self.dtype))
        dates = pd.to_datetime(whole, unit="us").mask(missing)
        if self.format is not None:
            return _written(dates, self.format).where(~missing, None).astype(dtype_of(self.dtype))
        if self.dtype in (PYTHON_DATES, "object"):
            held = dates.dt.date if self.dtype == PYTHON_DATES else dates.dt.to_pydatetime()
            return pd.Series(held, dtype=object).where(~missing, None)
        zone = _zone_of(self.dtype)
        if self._clock is not None:
            first = np.ones(len(dates), dtype=bool)
            dates = dates.dt.tz_localize(zone, ambiguous=first, nonexistent="shift_forward")
        elif zone is not None:
            dates = dates.dt.tz_localize("UTC").dt.tz_convert(zone)
        return dates.astype(dtype_of(self.dtype))

    def widened(self, numbers: Values) -> Dates:
        """Return what also holds these dates, with the range that they take."""
        known = numbers[~np.isnan(numbers)]
        if not len(known) or (self.low <= known.min() and known.max() <= self.high):
            return self
        low, high = np.fmin(self.low, known.min()), np.fmax(self.high, known.max())
        return replace(self, step=0.0, low=float(low), high=float(high))

    def _read(self, cell: Any) -> float:
        if self._lasts:
            return float(self.numbers(pd.Series([pd.Timedelta(cell)]))[0]) if not _is_number(cell) else math.nan
        if self.format is not None and isinstance(cell, str) and fits(pd.Series([cell]), self.format):
            return float(self.numbers(pd.Series([cell], dtype=object))[0])
        return math.nan if _is_number(cell) else float(self.numbers(pd.Series([pd.Timestamp(cell)]))[0])

    @property
    def words(self) -> str:
        """From when to when."""
        if math.isnan(self.low):
            return "durations" if self._lasts else "dates"
        kind = "durations" if self._lasts else "dates"
        written = "" if self.format is None else f", as {self.format}"
        return f"{kind} from {self.written(self.low)} to {self.written(self.high)}{written}"

    def written(self, number: float) -> str:
        """Return a number as text, a day without its time."""
        if self._lasts:
            return str(pd.Timedelta(number, "s"))
        return str(pd.Timestamp(round(number), unit="s")).removesuffix(" 00:00:00")


def formats_of(column: pd.Series[Any]) -> list[str]:
    """Return every format in which all cells of a column of text are dates, and come back as they are."""
    known = column.dropna().astype(object)
    some = known.iloc[:: max(1, len(known) // 20)]
    if not len(some) or not all(re.search(r"\d", cell) for cell in some):
        return []
    return [format for format in FORMATS_OF_DATES if fits(some, format) and fits(known, format)]


def fits(texts: pd.Series[Any], format: str) -> bool:
    """Return whether all texts are dates in a format, and would be written so."""
    try:
        dates = pd.to_datetime(texts, format=readable(format))
    except ValueError:
        return False
    return bool((_written(dates, format) == texts).all())


def readable(format: str) -> str:
    """Return a format as pandas reads it."""
    return format.replace("%-", "%").replace("%L", "%f")


def _written(dates: pd.Series[Any], format: str) -> pd.Series[Any]:
    """Return dates as text, as objects."""
    marked = format.replace("%-", "\x01%").replace("%L", "%f\x02")
    texts = dates.dt.strftime(marked).astype(object)
    return texts if marked == format else texts.str.replace("\x01" + "0?|\\d{3}\x02", "", regex=True).astype(object)


def _step_of(seconds: Values) -> float:
    """Return the longest step that all times are whole multiples of, from the first on; 0 for none."""
    known = seconds[~np.isnan(seconds)]
    after = known - known.min(initial=np.inf)
    for step in STEPS:
        steps = after / step
        if (np.abs(steps - np.round(steps)) * step < 1e-6).all():
            return step
    return 0.0


def _name_of(column: pd.Series[Any]) -> str:
    known = column.dropna()
    if column.dtype == object and any(isinstance(cell, datetime.date) for cell in known):
        return "object" if any(isinstance(cell, datetime.datetime) for cell in known) else PYTHON_DATES
    return "category" if isinstance(column.dtype, pd.CategoricalDtype) else name_of_dtype(column.dtype)


def _zone_of(dtype: str) -> Any:
    """Return the time zone of a type, or None."""
    if not dtype.startswith(("datetime64", "timestamp")):
        return None
    held = dtype_of(dtype)
    return held.pyarrow_dtype.tz if isinstance(held, pd.ArrowDtype) else getattr(held, "tz", None)


def _is_number(cell: Any) -> bool:
    return isinstance(cell, int | float | np.number)
