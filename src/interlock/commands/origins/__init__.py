"""Keeping the sources of trusted values, and finding them again: only in workflows with a policy that traces arguments.

Open `capturing.py`.
"""
