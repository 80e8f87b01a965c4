"""Searches: which trials to train, which are known already, and which one wins."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
