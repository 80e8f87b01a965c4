from .assumptions import (
    FEW_ROWS as FEW_ROWS,
)
from .assumptions import (
    Assumption as Assumption,
)
from .assumptions import (
    assume as assume,
)
from .declared import (
    current_page as current_page,
)
from .draft import (
    Draft as Draft,
)
from .draft import (
    write_draft as write_draft,
)
from .profile_page import (
    Profiled as Profiled,
)
from .profile_page import (
    distinct as distinct,
)
from .profile_page import (
    summary as summary,
)
from .profile_page import (
    write_page as write_page,
)
from .proven_leaks import (
    without_leaks as without_leaks,
)
from .row_order import (
    row_order as row_order,
)
from .table_profile import (
    ColumnProfile as ColumnProfile,
)
from .table_profile import (
    TableProfile as TableProfile,
)
from .table_profile import (
    Task as Task,
)
from .table_profile import (
    profile_table as profile_table,
)
from .target_choice import (
    no_target as no_target,
)
from .target_choice import (
    require_target as require_target,
)
from .target_choice import (
    require_task as require_task,
)
from .target_choice import (
    shell_word as shell_word,
)
from .yaml_text import (
    comment as comment,
)
from .yaml_text import (
    stems as stems,
)
