"""Definitions by SQL through ADBC, which prepares what it executes. Arguments: the Flight SQL address (grpc://host:port)."""

import sys

import adbc_driver_flightsql.dbapi as flight_sql
import adbc_driver_manager

import checks

CREATE = "create external table made (id varchar, mag double path 'properties/mag') stored as kinesis location 'kinesis://quakes'"


def connect(url):
    return flight_sql.connect(url, autocommit=True)


def query(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def check_effects_happen_once(url):
    with connect(url) as connection:
        # Twice would be an error: the table exists then.
        query(connection, CREATE)
        checks.equal(len(query(connection, "select id, mag from made")), 60, "rows")
        checks.raises(Exception, lambda: query(connection, CREATE), "exists")
        query(connection, "drop table made")
        checks.raises(Exception, lambda: query(connection, "select 1 from made"), "not found")


def check_updates_are_taken_as_updates(url):
    with connect(url) as connection:
        statement = adbc_driver_manager.AdbcStatement(connection.adbc_connection)
        try:
            statement.set_sql_query(CREATE)
            statement.execute_update()
            statement.set_sql_query("alter table made add column place varchar path 'properties/place'")
            statement.execute_update()
        finally:
            statement.close()
        checks.equal(query(connection, "select count(place) from made"), [(60,)], "the new column")
        described = [(row[0], row[1]) for row in query(connection, "describe made")]
        checks.equal(described, [("id", "varchar"), ("mag", "double"), ("place", "varchar")], "DESCRIBE")
        shown = query(connection, "show create table made")[0][0]
        query(connection, "drop table made")
        query(connection, shown)
        checks.equal(query(connection, "select count(place) from made"), [(60,)], "the table as it was shown")
        query(connection, "drop table if exists made")
        query(connection, "drop table if exists made")


def check_preparing_changes_nothing(url):
    with connect(url) as connection:
        statement = adbc_driver_manager.AdbcStatement(connection.adbc_connection)
        try:
            statement.set_sql_query(CREATE)
            statement.prepare()
        finally:
            statement.close()
        checks.raises(Exception, lambda: query(connection, "select 1 from made"), "not found")


def check_tables_are_listed(url):
    with connect(url) as connection:
        tables = [row[2] for row in query(connection, "show tables") if row[1] == "default"]
        checks.equal(tables, ["quakes"], "SHOW TABLES")


if __name__ == "__main__":
    checks.run(globals(), sys.argv[1])
