"""Checks the types and the shapes of arrays at run time, in all functions that have annotations."""

from __future__ import annotations

from beartype import BeartypeConf, beartype

#: An int is a float and a float is complex, as PEP 484 has it.
check = beartype(conf=BeartypeConf(is_pep484_tower=True))
