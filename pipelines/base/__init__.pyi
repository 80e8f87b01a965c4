from .durations import (
    DURATION as DURATION,
)
from .durations import (
    read_duration as read_duration,
)
from .errors import (
    ConfigError as ConfigError,
)
from .errors import (
    DataInvalid as DataInvalid,
)
from .errors import (
    EnvironmentFault as EnvironmentFault,
)
from .errors import (
    GristmillError as GristmillError,
)
from .errors import (
    InputError as InputError,
)
from .errors import (
    Problem as Problem,
)
from .errors import (
    first_line as first_line,
)
from .files import (
    content_digest as content_digest,
)
from .files import (
    file_digest as file_digest,
)
from .files import (
    read_json as read_json,
)
from .files import (
    write_json as write_json,
)
from .files import (
    writing as writing,
)
from .git import (
    ask_git as ask_git,
)
from .git import (
    run_git as run_git,
)
from .locks import (
    lock_holder as lock_holder,
)
from .locks import (
    locked as locked,
)
from .printable import (
    printable as printable,
)
from .processes import (
    began as began,
)
from .processes import (
    end_with_parent as end_with_parent,
)
from .processes import (
    is_running as is_running,
)
from .processes import (
    started as started,
)
from .secrets import (
    redact as redact,
)
from .source_code import (
    normalised_source as normalised_source,
)
from .source_code import (
    parse_source as parse_source,
)
from .spelling import (
    nearest as nearest,
)
from .spelling import (
    suggest as suggest,
)
from .sqlite_file import (
    copy_sqlite as copy_sqlite,
)
from .sqlite_file import (
    open_sqlite as open_sqlite,
)
from .startup import (
    uncollected as uncollected,
)
from .threads import (
    side_by_side as side_by_side,
)
from .yaml_file import (
    read_yaml as read_yaml,
)
