from .as_written import (
    read_as_written as read_as_written,
)
from .readers.dialect import (
    sniff_csv as sniff_csv,
)
from .readers.format_choice import (
    find_format as find_format,
)
from .readers.formats import (
    describe_formats as describe_formats,
)
from .readers.parquet_file import (
    index_columns as index_columns,
)
from .readers.picture_files import (
    is_picture as is_picture,
)
from .readers.picture_folders import (
    PICTURE as PICTURE,
)
from .readers.picture_folders import (
    folder_label as folder_label,
)
from .readers.picture_folders import (
    label_columns as label_columns,
)
from .readers.picture_folders import (
    listed_labels as listed_labels,
)
from .readers.picture_folders import (
    read_unlabelled as read_unlabelled,
)
from .readers.picture_folders import (
    rows_in_a_block as rows_in_a_block,
)
from .readers.picture_sizes import (
    ONE_SIZE as ONE_SIZE,
)
from .readers.picture_sizes import (
    fitting_form as fitting_form,
)
from .readers.table_form import (
    header as header,
)
from .readers.value_kinds import (
    MISSING as MISSING,
)
from .readers.value_kinds import (
    is_zoned as is_zoned,
)
from .sources.archives import (
    holds_several as holds_several,
)
from .sources.archives import (
    unpack as unpack,
)
from .sources.fetching import (
    fetch as fetch,
)
from .sources.keras_sets import (
    KNOWN as KNOWN,
)
from .sources.keras_sets import (
    keras_set_from as keras_set_from,
)
from .sources.meter import (
    DownloadMeter as DownloadMeter,
)
from .sources.meter import (
    Progress as Progress,
)
from .sources.sql import (
    PASSWORD as PASSWORD,
)
from .table import (
    ingest as ingest,
)
from .table import (
    ingest_file as ingest_file,
)
from .table import (
    plain_name as plain_name,
)
from .versions.cache import (
    Kept as Kept,
)
from .versions.data_log import (
    DataVersion as DataVersion,
)
from .versions.data_log import (
    data_log as data_log,
)
from .versions.data_log import (
    find as find,
)
from .versions.data_log import (
    note_rows as note_rows,
)
from .versions.data_log import (
    recorded_rows as recorded_rows,
)
from .versions.data_log import (
    sets_in as sets_in,
)
from .versions.data_log import (
    sets_with as sets_with,
)
from .versions.merge_driver import (
    is_registered as is_registered,
)
from .versions.merge_driver import (
    merge_file as merge_file,
)
from .versions.merge_driver import (
    plain_merge as plain_merge,
)
from .versions.merge_driver import (
    register_driver as register_driver,
)
from .versions.moves import (
    go_to as go_to,
)
from .versions.moves import (
    lay_out_version as lay_out_version,
)
from .versions.pin_file import (
    PIN as PIN,
)
from .versions.pins import (
    DataState as DataState,
)
from .versions.pins import (
    data_digest as data_digest,
)
from .versions.pins import (
    data_state as data_state,
)
from .versions.pins import (
    hash_of as hash_of,
)
from .versions.pins import (
    is_committed as is_committed,
)
from .versions.pins import (
    pin_data as pin_data,
)
from .versions.pins import (
    pinned_digest as pinned_digest,
)
from .versions.pins import (
    unpin as unpin,
)
from .versions.refresh import (
    Refreshed as Refreshed,
)
from .versions.refresh import (
    refresh as refresh,
)
from .versions.refresh import (
    sweep as sweep,
)
from .versions.snapshot import (
    Snapshot as Snapshot,
)
from .versions.snapshot import (
    edited as edited,
)
from .versions.snapshot import (
    not_pinned as not_pinned,
)
from .versions.snapshot import (
    restore as restore,
)
from .versions.snapshot import (
    snapshot as snapshot,
)
from .versions.stages import (
    STAGES as STAGES,
)
from .versions.stages import (
    StageState as StageState,
)
from .versions.stages import (
    cached_files as cached_files,
)
from .versions.stages import (
    data_plan as data_plan,
)
from .versions.stages import (
    forget_stages as forget_stages,
)
from .versions.stages import (
    run_stage as run_stage,
)
from .versions.stages import (
    stage_digests as stage_digests,
)
from .versions.stages import (
    stop_stage as stop_stage,
)
