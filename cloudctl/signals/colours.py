"""The signal states by what they mean for traffic: each set stands here once, with what it is used for.
 States are those of SAE J2735 and ISO/TS 19091 (MovementPhaseState) and the flashing green of YD/T 3709. Masks
(`IS_RED`, ...) are bool[256], so that compiled code asks with a state as the index.
"""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from ..schema import SignalState

S = SignalState
Mask = NDArray[np.bool_]

# Colours: what a driver sees. Pre-movement (red and yellow at once) is red until green has come.
RED_STATES = (S.RED, S.RED_FLASH, S.PRE_MOVEMENT)
GREEN_STATES = (S.GREEN_PERMISSIVE, S.GREEN_PROTECTED, S.GREEN_FLASH)
STEADY_GREEN_STATES = (S.GREEN_PERMISSIVE, S.GREEN_PROTECTED)
YELLOW_STATES = (S.YELLOW_PERMISSIVE, S.YELLOW_PROTECTED)

# States in which a vehicle that crosses the line runs a red.
STOP_STATES = (S.RED, S.RED_FLASH)

# States in which a vehicle before the line is expected to stay there.
CLOSED_STATES = (S.UNKNOWN, *STOP_STATES)

# Right of way of a movement: protected from all conflicting ones, or giving way to them.
PROTECTED_STATES = (S.GREEN_PROTECTED, S.YELLOW_PROTECTED)
PERMISSIVE_STATES = (S.GREEN_PERMISSIVE, S.YELLOW_PERMISSIVE, S.GREEN_FLASH, S.YELLOW_FLASH)

# States of a signal that decides nothing: the rules of priority hold.
UNCONTROLLED_STATES = (S.DARK, S.YELLOW_FLASH)

# States of a controller that begins, ends or fails: each may follow and precede every other state.
EXCEPTIONAL_STATES = (S.UNKNOWN, S.DARK, S.RED_FLASH, S.YELLOW_FLASH)


def mask(states: Collection[SignalState]) -> Mask:
    """Return bool[256]: whether a state is one of `states`."""
    return np.isin(np.arange(256), tuple(states))


IS_RED = mask(RED_STATES)
IS_GREEN = mask(GREEN_STATES)
IS_YELLOW = mask(YELLOW_STATES)
IS_STOP = mask(STOP_STATES)
IS_CLOSED = mask(CLOSED_STATES)
IS_UNCONTROLLED = mask(UNCONTROLLED_STATES)
