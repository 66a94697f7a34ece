"""What holds for all tests."""

import os

# networks as small as the tests' take longer on two threads than on one; PyTorch reads it once, and so do processes that tests start
os.environ.setdefault("OMP_NUM_THREADS", "1")
