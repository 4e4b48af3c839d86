"""Fixtures that every test may ask for, tables for empty databases at a lower cost, and which share of the large families is run."""

from tests.support import fast_schema
from tests.support.databases import (
    empty_mysql_database,
    empty_postgres_database,
    mysql_database,
    mysql_databases,
    mysql_worker_database,
    postgres_database,
    postgres_databases,
    postgres_tables,
    postgres_worker_database,
)
from tests.support.shares import pytest_collection_modifyitems, pytest_report_collectionfinish

fast_schema.begin()

__all__ = [
    "empty_mysql_database",
    "empty_postgres_database",
    "mysql_database",
    "mysql_databases",
    "mysql_worker_database",
    "postgres_database",
    "postgres_databases",
    "postgres_tables",
    "postgres_worker_database",
    "pytest_collection_modifyitems",
    "pytest_report_collectionfinish",
]
