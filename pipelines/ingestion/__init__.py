"""Sources, readers, the ingested table, and versions of data sets kept by DVC."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
