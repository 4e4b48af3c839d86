"""Fixtures that every test may ask for."""

from tests.support.servers import mysql_database, mysql_worker_database, postgres_database, postgres_worker_database

__all__ = ["mysql_database", "mysql_worker_database", "postgres_database", "postgres_worker_database"]
