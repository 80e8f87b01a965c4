from .boards import (
    Board as Board,
)
from .connection import (
    client as client,
)
from .connection import (
    import_mlflow as import_mlflow,
)
from .connection import (
    know_packages as know_packages,
)
from .connection import (
    pages as pages,
)
from .connection import (
    prepare_store as prepare_store,
)
from .connection import (
    store_errors as store_errors,
)
from .connection import (
    whole as whole,
)
from .ledger import (
    data_rows as data_rows,
)
from .ledger import (
    evaluated_runs as evaluated_runs,
)
from .ledger import (
    known_run as known_run,
)
from .ledger import (
    known_trials as known_trials,
)
from .ledger import (
    past_trials as past_trials,
)
from .ledger import (
    reads_with as reads_with,
)
from .ledger import (
    rows_read as rows_read,
)
from .ledger import (
    run_tags as run_tags,
)
from .ledger import (
    search_began as search_began,
)
from .ledger import (
    tried as tried,
)
from .lineage import (
    WHOLE as WHOLE,
)
from .lineage import (
    apply_diff as apply_diff,
)
from .lineage import (
    git_state as git_state,
)
from .lineage import (
    worktree as worktree,
)
from .liveness import (
    BEGUN as BEGUN,
)
from .liveness import (
    HOST as HOST,
)
from .liveness import (
    PID as PID,
)
from .liveness import (
    mend_dead_runs as mend_dead_runs,
)
from .liveness import (
    process_lives as process_lives,
)
from .liveness import (
    process_tags as process_tags,
)
from .local_store import (
    local_models as local_models,
)
from .run_store import (
    any_running as any_running,
)
from .run_store import (
    bytes_of as bytes_of,
)
from .run_store import (
    fetch_artifact as fetch_artifact,
)
from .run_store import (
    has_artifact as has_artifact,
)
from .run_store import (
    keep_artifact as keep_artifact,
)
from .run_store import (
    needed_keys as needed_keys,
)
from .run_store import (
    package_folder as package_folder,
)
from .run_store import (
    packages_of as packages_of,
)
from .run_store import (
    read_artifact as read_artifact,
)
from .run_store import (
    remove_package as remove_package,
)
from .run_store import (
    remove_run as remove_run,
)
from .run_store import (
    stored_runs as stored_runs,
)
from .store import (
    ARTIFACTS as ARTIFACTS,
)
from .store import (
    check_content as check_content,
)
from .store import (
    check_store as check_store,
)
from .store import (
    is_local as is_local,
)
from .store import (
    local_database as local_database,
)
from .store import (
    relocate as relocate,
)
from .store import (
    tracking_uri as tracking_uri,
)
from .stored import (
    DataInput as DataInput,
)
from .stored import (
    StoredModel as StoredModel,
)
from .stored import (
    StoredRun as StoredRun,
)
from .stored import (
    StoredVersion as StoredVersion,
)
from .tags import (
    DATA as DATA,
)
from .tracker import (
    Tracker as Tracker,
)
from .tracker import (
    TrialRun as TrialRun,
)
