"""Conformance as an observer sees it: messages and connections in, violations out.

Pure: whoever feeds the linter owns sockets and clocks. A broker's traffic, live or recorded, is a
sequence of the events of `events`; `Linter` judges them by the rules of `rules`; `report` shows what
came out. Nothing is concluded from what happened before the observation began.
"""
