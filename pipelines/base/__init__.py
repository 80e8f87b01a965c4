"""Basics that every folder uses: errors, atomic writes, processes, locks, git."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
