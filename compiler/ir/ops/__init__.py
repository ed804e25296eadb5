"""The closed set of operations: importing this package fills the table `node.OPS` with their typing rules.

Families decide how an operation is scheduled; a new op of an existing family needs no scheduler change:

    leaf         param, const, dim, length
    elementwise  one value from the values at the same index
    view         one value from one value at another index (an index map, possibly guarded)
    reduce       folds axes
    procedural   has a loop nest or a library routine of its own
    control      holds regions: scan, ifelse
    structure    tuples
    kernel       outlined by the scheduler: a region that becomes one loop nest
"""

from . import control, elementwise, index, kernel, leaf, linalg, loop, procedural, reduce, view  # noqa: F401  (fill the table)
