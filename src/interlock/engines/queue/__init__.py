"""The queue: Procrastinate's tables in PostgreSQL. Any SQLAlchemy transaction can enqueue jobs; Procrastinate's workers run them.

Open `enqueuing.py` first. No other package of Interlock depends on Procrastinate.
"""
