"""The queue: Procrastinate's tables in PostgreSQL, written from any transaction of SQLAlchemy's, and worked on by its workers.

Open `enqueuing.py` first. Nothing else of Interlock knows Procrastinate.
"""
