"""Benchmarks, each beside the peer that it is measured against, in one interleaved run: `make bench`."""
