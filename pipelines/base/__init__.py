"""What every folder uses: errors, files written whole or not at all, processes, locks, git."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
