"""The real clock."""

import random
import time

from shared.clock import Clock

SYSTEM_CLOCK = Clock(now=time.time, elapsed=time.monotonic, sleep=time.sleep, chance=random.random)
