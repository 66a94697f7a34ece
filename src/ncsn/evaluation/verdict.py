"""What the figures of a comparison come to, in words."""

from collections.abc import Mapping

from ncsn.evaluation.measure import Measure

_WORDS = (
    (2.0, "nearly as close to the data as real data are"),
    (5.0, "close to the data"),
    (20.0, "apart from the data"),
)
_NAMES = {"frechet_distance": "Fréchet distance", "sliced_wasserstein2": "sliced Wasserstein distance"}
_FAR = "far from the data"


def verdict_on(measures: Mapping[str, Measure], main: str, *, squared: bool) -> str:
    """Return a sentence on samples, by limits that are the same for all.

    The main distance decides: below 2 times its floor samples are nearly as close to the data as real data are, below 5 close,
    below 20 apart, and from there far, where the distance is a squared one; the roots of these where it is not. Told besides is
    a coverage below 0.7 times the floor, copies or strays that are 5 points more than twice the floor, and a class that is
    read as asked less than 0.9 times as often as real data are read rightly.

    Args:
        measures: The measures by name.
        main: The distance that decides.
        squared: Whether it is a squared distance.
    """
    distance = measures[main]
    ratio = distance.ratio if distance.ratio is not None else float("inf") if distance.value > 0 else 1.0
    words = next((words for limit, words in _WORDS if (ratio if squared else ratio**2) < limit), _FAR)
    found = [f"samples are {words}: {_NAMES[main]} {ratio:.3g} x the floor"]
    for name, low, high, text in (
        ("coverage", 0.7, None, "they leave out a part of the data (coverage {value:.2f}, real data {floor:.2f})"),
        ("copied_fraction", None, 0.05, "{value:.0%} are copies of training data (real data {floor:.0%})"),
        ("stray_fraction", None, 0.05, "{value:.0%} lie where no data are (real data {floor:.0%})"),
        ("read_as_asked", 0.9, None, "{value:.0%} are read as the class that was asked (real data {floor:.0%})"),
    ):
        row = measures.get(name)
        if row is None:
            continue
        if (low is not None and row.value < low * row.floor) or (high is not None and row.value > 2 * row.floor + high):
            found.append(text.format(value=row.value, floor=row.floor))
    return "; ".join(found)
