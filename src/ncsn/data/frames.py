"""Data frames of other libraries than pandas, such as polars: taken as pandas' own, and given back as they came."""

from typing import Any

import narwhals as nw
import pandas as pd


def library_of(X: Any) -> str:
    """Return the library whose data frame X is, ``pandas`` where it is none."""
    if isinstance(X, pd.DataFrame) or not nw.dependencies.is_into_dataframe(X):
        return "pandas"
    return str(nw.from_native(X, eager_only=True).implementation.value)


def as_pandas(X: Any) -> Any:
    """Return another library's data frame as one of pandas, and anything else as it is."""
    return X if library_of(X) == "pandas" else nw.from_native(X, eager_only=True).to_pandas()


def as_library(frame: pd.DataFrame, library: Any) -> Any:
    """Return a data frame of pandas as one of a library, by the name that `library_of` gave."""
    if library == "pandas":
        return frame
    # through Arrow, which has the types of both
    return nw.from_arrow(nw.from_native(frame, eager_only=True).to_arrow(), backend=library).to_native()
