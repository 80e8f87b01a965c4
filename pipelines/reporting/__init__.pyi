from .html import (
    as_page as as_page,
)
from .html import (
    meta as meta,
)
from .markdown import (
    as_markdown as as_markdown,
)
from .numbers import (
    number as number,
)
from .records import (
    Block as Block,
)
from .records import (
    Card as Card,
)
from .records import (
    Code as Code,
)
from .records import (
    Facts as Facts,
)
from .records import (
    Figure as Figure,
)
from .records import (
    Html as Html,
)
from .records import (
    Lines as Lines,
)
from .records import (
    Page as Page,
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
from .screen import (
    Screen as Screen,
)
from .template import (
    fill_template as fill_template,
)
