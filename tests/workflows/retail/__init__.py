"""Tests of the retail desk and its shop."""
