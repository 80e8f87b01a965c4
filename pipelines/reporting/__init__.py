"""Output of records on a terminal, as Markdown and as HTML; independent of the domain."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
