"""The exercises of the course, one module for each chapter.

A module declares `CHAPTER`; it is found by itself.  Each exercise has at least three wrong answers,
and each of these has a case in `tests/lessons/cases`.
"""
