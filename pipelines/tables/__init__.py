"""Tables as streams of Arrow batches, hashes of their rows, and differences between them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
