from .ingest import (
    IngestSections as IngestSections,
)
from .prepare import (
    PrepareSections as PrepareSections,
)
from .validate import (
    ValidateSections as ValidateSections,
)
