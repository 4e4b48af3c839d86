"""Stores and finds the sources of trusted values; only in workflows with a policy that traces arguments.

Open `capturing.py`.
"""
