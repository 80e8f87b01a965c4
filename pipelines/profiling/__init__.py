"""What a table holds, what that lets one assume, and the experiment file that follows from it."""

from pipelines.profiling.assume import (
    FEW_ROWS,
    RARE,
    TELLS_ALL,
    Assumption,
    TaskChoice,
    assume,
    choose_task,
    likely_targets,
)
from pipelines.profiling.draft import Draft, write_draft
from pipelines.profiling.page import distinct, page_digest, summary, write_page
from pipelines.profiling.profile import ColumnProfile, TableProfile, Task, profile_table
from pipelines.profiling.text import stems

__all__ = [
    "FEW_ROWS",
    "RARE",
    "TELLS_ALL",
    "Assumption",
    "ColumnProfile",
    "Draft",
    "TableProfile",
    "Task",
    "TaskChoice",
    "assume",
    "choose_task",
    "distinct",
    "likely_targets",
    "page_digest",
    "profile_table",
    "stems",
    "summary",
    "write_draft",
    "write_page",
]
