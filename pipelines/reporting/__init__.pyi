from .html_frame import (
    html_facts as html_facts,
)
from .html_frame import (
    html_list as html_list,
)
from .html_frame import (
    html_page as html_page,
)
from .html_frame import (
    html_table as html_table,
)
from .html_frame import (
    meta as meta,
)
from .markdown import (
    as_markdown as as_markdown,
)
from .records import (
    Block as Block,
)
from .records import (
    Code as Code,
)
from .records import (
    Facts as Facts,
)
from .records import (
    Html as Html,
)
from .records import (
    Lines as Lines,
)
from .records import (
    Table as Table,
)
from .records import (
    Text as Text,
)
from .records import (
    Titled as Titled,
)
from .records import (
    is_empty as is_empty,
)
from .screen import (
    Screen as Screen,
)
from .template import (
    fill_template as fill_template,
)
