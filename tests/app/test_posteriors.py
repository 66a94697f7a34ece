"""Reports of posteriors: the exact one is accepted, a narrow one is not, and the page has every check with its band."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from known_posterior import exact_mean, exact_posterior, exact_spread, simulate

from ncsn.app.posteriors import write_posterior_report
from ncsn.errors import DataError, SettingError
from ncsn.inference import Posterior

OBSERVED = torch.tensor([0.8, -0.4])


def test_the_report_of_the_exact_posterior_accepts(tmp_path: Path) -> None:
    found = write_posterior_report(
        exact_posterior(simulate=simulate), tmp_path, simulations=200, n_draws=50, observed=OBSERVED, names=["a", "b"]
    )
    assert found.accepted and found.predictive is not None
    assert len(str(found).splitlines()) == 4 and "REJECTED" not in str(found)
    page = (tmp_path / "report.html").read_text()
    for words in (
        "Every check accepts",
        "simulation-based calibration",
        "expected coverage",
        "TARP",
        "posterior predictive",
    ):
        assert words in page
    assert found.path == str(tmp_path / "report.html")
    figures = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert figures == {"ranks", "draws", "foretold", "training_curve"}
    # what is foretold of x is N(mean, spread^2 + noise^2)
    made = found.predictive.replicated
    np.testing.assert_allclose(made.mean(0), exact_mean(OBSERVED[None]), atol=4 * 0.7 / len(made) ** 0.5)
    np.testing.assert_allclose(made.std(0), np.hypot(exact_spread(1), 0.5), rtol=0.15)


def test_a_narrow_posterior_and_a_foreign_observation_are_rejected(tmp_path: Path) -> None:
    narrow = exact_posterior(spread=0.7, simulate=simulate)
    found = write_posterior_report(narrow, tmp_path, simulations=300, n_draws=50, observed=[9.0, 9.0], truth=[0.0, 0.0])
    assert not found.accepted and not found.calibration.accepted
    assert found.predictive is not None and not found.predictive.accepted
    page = (tmp_path / "report.html").read_text()
    assert "Not every check accepts: the posterior is not right as it is." in page
    assert "the posterior is too narrow" in page and page.count("REJECTED") >= 3


def test_without_a_simulator_pairs_are_given(tmp_path: Path) -> None:
    torch.manual_seed(1)
    theta = torch.randn(60, 2)
    pairs = theta, simulate(theta)
    found = write_posterior_report(exact_posterior(), tmp_path, simulations=pairs, n_draws=20, observed=OBSERVED)
    assert found.predictive is None and found.calibration.checks[0].ranks.shape == (60, 2)
    # several observations have a posterior, and no single one to foretell
    both = torch.stack([OBSERVED, OBSERVED])
    several = exact_posterior(simulate=simulate)
    assert write_posterior_report(several, tmp_path, simulations=pairs, n_draws=20, observed=both).predictive is None


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    exact = exact_posterior()
    with pytest.raises(SettingError, match="there is no simulator"):
        write_posterior_report(exact, tmp_path)
    with pytest.raises(DataError, match="3 rows of theta, and 2 of x: one x for each is needed"):
        write_posterior_report(exact, tmp_path, simulations=(torch.zeros(3, 2), torch.zeros(2, 2)))
    with pytest.raises(SettingError, match="n_draws must be"):
        write_posterior_report(exact, tmp_path, n_draws=0)
    with pytest.raises(SettingError, match="1 names for 2 parameters"):
        write_posterior_report(exact, tmp_path, simulations=(torch.zeros(9, 2), torch.zeros(9, 2)), names=["a"])
    with pytest.raises(Exception, match="knows no simulations yet"):
        write_posterior_report(Posterior(simulate, exact.prior.parts), tmp_path)
    assert not list(tmp_path.iterdir())
