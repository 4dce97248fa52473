"""The memory that work took, apart from what the process held before."""

from tests.support.fresh import printed_by

HELD_BEFORE = """
import numpy as np
from indexes.progress import Peak
before = np.ones(150 << 20, np.uint8)
with Peak() as idle:
    pass
with Peak() as peak:
    during = np.ones(50 << 20, np.uint8)
print(idle.bytes >> 20, peak.bytes >> 20)
"""


def test_what_the_process_held_before_does_not_count():
    # In a process of its own: memory that other tests leave may be used again, or freed meanwhile.
    idle, peak = map(int, printed_by(HELD_BEFORE).split())
    assert idle < 50
    # The last sample is taken when the block ends.
    assert 40 < peak < 100
