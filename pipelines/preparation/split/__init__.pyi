from .assignment import (
    assign as assign,
)
from .assignment import (
    split_table as split_table,
)
from .cuts_file import (
    ROLES as ROLES,
)
from .cuts_file import (
    TEST as TEST,
)
from .cuts_file import (
    TRAINING as TRAINING,
)
from .cuts_file import (
    UNUSED as UNUSED,
)
from .cuts_file import (
    VALIDATION as VALIDATION,
)
from .cuts_file import (
    Cuts as Cuts,
)
from .cuts_file import (
    RoleCodes as RoleCodes,
)
from .cuts_file import (
    Roles as Roles,
)
from .cuts_file import (
    read_cuts as read_cuts,
)
from .hashed import (
    cut as cut,
)
from .role_checks import (
    DISTINCT as DISTINCT,
)
from .roles_file import (
    read_folds as read_folds,
)
from .roles_file import (
    read_left_out as read_left_out,
)
from .roles_file import (
    read_roles as read_roles,
)
from .roles_file import (
    read_twins as read_twins,
)
from .times import (
    Moments as Moments,
)
from .times import (
    moments as moments,
)
