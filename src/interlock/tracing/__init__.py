"""The tracing room: what a trace tells of a workflow, and the way from a trace to the audit record and back.

Tracing watches and never decides: off, unsampled, slow or broken, a workflow does the same.
"""
