"""The page's settings, for a loop of one's own."""

import torch

from ncsn.noise import create_noise_schedule
from ncsn.plan import PageSettings


def test_what_is_not_given_is_the_pages() -> None:
    assert PageSettings.of(sigma_min=None, n_sigmas=None) == PageSettings()
    settings = PageSettings.of(sigma_min=0.1, sigma_max=None, n_sigmas=5)
    assert (settings.sigma_min, settings.sigma_max, settings.n_sigmas) == (0.1, PageSettings().sigma_max, 5)


def test_levels_are_geometric() -> None:
    assert torch.equal(PageSettings(0.1, 5.0, 7).sigmas, create_noise_schedule(0.1, 5.0, 7))
