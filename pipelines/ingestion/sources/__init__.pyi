from .fetching import (
    fetch as fetch,
)
from .meter import (
    Progress as Progress,
)
