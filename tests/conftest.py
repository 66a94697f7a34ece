"""What holds for all tests."""

import os

# networks as small as the tests' take longer on two threads than on one; processes that tests start read it too
os.environ.setdefault("OMP_NUM_THREADS", "1")
