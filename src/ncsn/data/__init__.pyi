"""The public names of this room: one table, read by type checkers and, lazily, at run time."""

from .augmentation import (
    AUGMENTATIONS as AUGMENTATIONS,
    Augmentation as Augmentation,
    augmentation_named as augmentation_named,
)
from .columns import (
    COLUMNS as COLUMNS,
    Column as Column,
    Constant as Constant,
    Number as Number,
    Pixels as Pixels,
)
from .container import Container as Container
from .csv_files import (
    CsvTable as CsvTable,
    Dialect as Dialect,
    look_at as look_at,
)
from .dataset import Dataset as Dataset
from .encoding import Encoding as Encoding
from .formats import (
    FORMATS as FORMATS,
    save_samples as save_samples,
)
from .images import load_mask as load_mask
from .loading import (
    DATASETS as DATASETS,
    load as load,
)
from .picked import Rows as Rows
from .splitting import (
    Split as Split,
    split as split,
)
from .streams import (
    Items as Items,
    Stream as Stream,
    as_data as as_data,
)
from .toys import (
    TOYS as TOYS,
    Mixture as Mixture,
    Toy as Toy,
    checkerboard as checkerboard,
    eight_gaussians as eight_gaussians,
    moons as moons,
    pinwheel as pinwheel,
    rings as rings,
    swiss_roll as swiss_roll,
    toy_mixture as toy_mixture,
)
from .values import (
    Values as Values,
    as_float64 as as_float64,
    check_values as check_values,
)
