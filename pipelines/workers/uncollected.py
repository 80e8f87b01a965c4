"""The first import of the process that workers fork from: they look for garbage once they serve."""

import gc

gc.disable()
