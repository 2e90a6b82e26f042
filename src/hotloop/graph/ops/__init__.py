"""The ops that layers and losses are made of, a file for each family.

Each op is a record (`hotloop.graph.op`) in capitals, with its gradient right beside it. The
function in small letters checks shapes and adds a node to the graph: that is what layers call.
Here is what each family's `__all__` says: its functions, and the records that others than the
family make nodes of or know by name. All records are in `hotloop.graph.op.OPS`.
"""

from .along import *
from .constants import *
from .dense import *
from .draws import *
from .elementwise import *
from .examples import *
from .functions import *
from .indices import *
from .losses import *
from .matrices import *
from .merges import *
from .movements import *
from .normalization import *
from .programs import *
from .python import *
from .random import *
from .reductions import *
from .rows import *
from .shapes import *
from .updates import *
from .users import *
from .ways import *
from .weights import *
