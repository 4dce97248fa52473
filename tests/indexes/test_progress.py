"""The memory that work took, apart from what the process held before."""

import numpy as np

from indexes.progress import Peak

MEGABYTE = 1 << 20


def test_what_the_process_held_before_does_not_count():
    before = np.ones(150 * MEGABYTE, np.uint8)
    with Peak() as idle:
        pass
    with Peak() as peak:
        during = np.ones(50 * MEGABYTE, np.uint8)
    assert idle.bytes < 50 * MEGABYTE
    # The last sample is taken when the block ends.
    assert 40 * MEGABYTE < peak.bytes < 100 * MEGABYTE
    assert before.size > during.size
