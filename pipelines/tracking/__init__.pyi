from .boards import (
    Board as Board,
)
from .ledger import (
    EvaluatedRun as EvaluatedRun,
)
from .ledger import (
    KnownRun as KnownRun,
)
from .ledger import (
    KnownTrial as KnownTrial,
)
from .ledger import (
    PastTrial as PastTrial,
)
from .ledger import (
    TrainedModel as TrainedModel,
)
from .ledger import (
    any_running as any_running,
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
    local_artifact as local_artifact,
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
    trained_models as trained_models,
)
from .ledger import (
    tried as tried,
)
from .ledger import (
    used_data as used_data,
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
from .run_records import (
    BEGUN as BEGUN,
)
from .run_records import (
    HOST as HOST,
)
from .run_records import (
    PID as PID,
)
from .run_records import (
    DataInput as DataInput,
)
from .run_records import (
    Tracker as Tracker,
)
from .run_records import (
    TrialRun as TrialRun,
)
from .run_records import (
    client as client,
)
from .run_records import (
    fetch_artifact as fetch_artifact,
)
from .run_records import (
    has_artifact as has_artifact,
)
from .run_records import (
    import_mlflow as import_mlflow,
)
from .run_records import (
    keep_artifact as keep_artifact,
)
from .run_records import (
    know_packages as know_packages,
)
from .run_records import (
    mend_dead_runs as mend_dead_runs,
)
from .run_records import (
    prepare_store as prepare_store,
)
from .run_records import (
    process_lives as process_lives,
)
from .run_records import (
    process_tags as process_tags,
)
from .run_records import (
    store_errors as store_errors,
)
from .run_records import (
    whole as whole,
)
from .store import (
    ARTIFACTS as ARTIFACTS,
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
    StoredRun as StoredRun,
)
from .stored import (
    bytes_of as bytes_of,
)
from .stored import (
    needed_keys as needed_keys,
)
from .stored import (
    packages_of as packages_of,
)
from .stored import (
    remove_package as remove_package,
)
from .stored import (
    remove_run as remove_run,
)
from .stored import (
    stored_runs as stored_runs,
)
from .tags import (
    DATA as DATA,
)
