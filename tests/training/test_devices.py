"""Where training runs: devices and precisions that are there, and those that are not."""

import pytest
import torch

from ncsn.errors import SettingError
from ncsn.training import make_accelerator


def test_unknown_and_absent_devices_are_refused() -> None:
    with pytest.raises(SettingError, match=r"unknown device 'gpu'; did you mean 'cpu'\? known: cpu, cuda, mps"):
        make_accelerator("gpu")
    with pytest.raises(SettingError, match="unknown mixed precision 'bf61'; did you mean 'bf16'"):
        make_accelerator("cpu", "bf61")
    absent = "mps" if torch.cuda.is_available() or not torch.backends.mps.is_available() else "cuda"
    with pytest.raises(SettingError, match=rf"device '{absent}' is not there; device=None takes '(cpu|cuda|mps)'"):
        make_accelerator(absent)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU has fp16")
def test_precision_that_a_device_lacks_is_refused() -> None:
    with pytest.raises(SettingError, match="cpu has no fp16; take mixed_precision='no'"):
        make_accelerator(None, "fp16")


def test_precision_can_change_within_a_process() -> None:
    assert make_accelerator("cpu", "bf16").mixed_precision == "bf16"
    assert make_accelerator("cpu", "no").mixed_precision == "no"
    assert make_accelerator("cpu").device.type == "cpu"
