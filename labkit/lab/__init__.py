"""`Lab`: the one object of a notebook.

Reading order:

- `lab`: `Lab` itself, the names that a notebook uses.
- `clients`: other clients of the same cluster.
- `target`: which cluster it is, the lab's own or another one by its context.
- `objects`, `ownership`: objects by name; which of them chapters made and may delete.
- `kubectl`, `manifests`, `magics`: commands and YAML in cells.
- `reach`: from a Service to a URL.
- `watching`: load and recording in one cell.
- `containers`: what the engine runs, for checks.
- `faces`: how a lab shows itself.
"""

from labkit.lab.lab import Lab
from labkit.lab.magics import load_ipython_extension

__all__ = ["Lab", "load_ipython_extension"]
