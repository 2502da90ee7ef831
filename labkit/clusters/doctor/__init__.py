"""`labkit doctor`: whether this machine can run the lab, as a table.

- `limits`: how much memory and how many CPUs this process may use, whoever limits them.
- `findings`: from what was measured to a row: what, found, all right or not, what to do.  Pure.
- `examination`: measuring.
- `report`: the table, as text and as HTML.
"""

from labkit.clusters.doctor.examination import doctor
from labkit.clusters.doctor.report import Report

__all__ = ["Report", "doctor"]
