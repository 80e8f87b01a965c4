"""From a source to one canonical table, with DVC as the memory of versions."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
