"""Where data come from: each kind of source writes the raw file or folder, whole or not at all."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
