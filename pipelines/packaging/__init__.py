"""One package a model: raw rows in, predictions out; and its trial in a fresh process."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
