"""The study of ``docs/study.md``: which runs it has, what was kept of them, and what that says.

``config/study.csv`` lists its cells in the order in which they run, ``docs/study/`` has what came of them.
Nothing else of the program knows of it: a run of the study is a run like any other.
"""
