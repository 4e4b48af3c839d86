"""A pytest plugin for LangGraph's own test-suite: its SQLite savers are Interlock's checkpointer instead."""

import os

import savers
import tests.conftest_checkpointer as theirs  # LangGraph's, which is the one on the path there

VARIANT = savers.VARIANTS[os.environ["INTERLOCK_SUITE"]]

theirs._checkpointer_sqlite = VARIANT.synchronous
theirs._checkpointer_sqlite_aio = VARIANT.asynchronous
theirs._checkpointer_sqlite_aes = savers.encrypted

# Some tests measure time, and the first checkpointer of a process imports what creates its tables.
with savers.sqlite() as first:
    first.setup()
