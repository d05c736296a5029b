"""The PostgreSQL that other tests stand on."""

from __future__ import annotations

import psycopg
import pytest

from tests.services.postgres import PostgresServer


def test_a_fresh_database_is_empty(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        assert tables(connection) == []
        connection.execute("CREATE TABLE left_behind (n int)")


def test_nothing_of_one_test_reaches_the_next(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        assert tables(connection) == []


def test_a_template_is_prepared_once_and_copied(postgres_server: PostgresServer) -> None:
    calls: list[str] = []

    def prepare(url: str) -> None:
        calls.append(url)
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE made_before (n int)")

    names = {postgres_server.template("of_this_test", prepare) for _ in range(2)}
    url = postgres_server.create_database(template=names.pop())
    with psycopg.connect(url) as connection:
        assert tables(connection) == ["made_before"]
    postgres_server.drop_database(url)
    assert len(calls) == 1 and not names


def test_an_own_server_comes_back_with_its_data(own_postgres: PostgresServer) -> None:
    url = own_postgres.create_database()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept (n int)")
    with psycopg.connect(url) as cut_off:
        own_postgres.restart()
        with pytest.raises(psycopg.OperationalError):
            cut_off.execute("SELECT 1")
    with psycopg.connect(url) as connection:
        assert tables(connection) == ["kept"]


def tables(connection: psycopg.Connection[tuple[str]]) -> list[str]:
    rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return [name for (name,) in rows]
