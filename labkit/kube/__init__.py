"""The vocabulary of Kubernetes, as pure values and functions: no I/O, no clock, no state.

Reading order: `resources` (what there is and under which path), `times`, `quantity`, `names`,
`selectors` (labels and fields), `conditions`, `pods` (what the parts agree on about Pods),
`patch` (JSON, merge and strategic merge patch), `schema` (Kubernetes' own schemas),
`jsonsyntax` (what is wrong with a text that is not JSON).
"""
