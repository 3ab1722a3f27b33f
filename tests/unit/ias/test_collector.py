"""The collector leaves alone what stands, and still finds cycles."""

import gc
import weakref

from ias.collector import settle_down


class Cycle:
    def __init__(self) -> None:
        self.itself = self


def test_what_stands_is_left_alone_and_new_cycles_are_found() -> None:
    threshold = gc.get_threshold()
    try:
        settle_down()
        assert gc.get_freeze_count() > 1_000
        gone = weakref.ref(Cycle())
        gc.collect()
        assert gone() is None
    finally:
        gc.unfreeze()
        gc.set_threshold(*threshold)
