"""Runs beyond one process: the seam, the queue, its workers."""
