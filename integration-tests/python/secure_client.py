"""Logins over TLS, as Python's users meet them. Arguments: grpc+tls://HOST:PORT, the CA's file, password of user ann, token, the number of rows in table t."""

import sys

import adbc_driver_flightsql.dbapi as flight_sql
import pyarrow.flight as flight
from adbc_driver_flightsql import DatabaseOptions
from adbc_driver_manager import DatabaseError

import checks
from flight_wire import statement

COUNT = "select count(*) from t"


class Server:
    def __init__(self, url, ca, password, token, rows):
        self.url, self.password, self.token, self.rows = url, password, token, int(rows)
        with open(ca) as file:
            self.ca = file.read()

    def connect(self, **options):
        database = {DatabaseOptions.TLS_ROOT_CERTS.value: self.ca, **options}
        return flight_sql.connect(self.url, db_kwargs=database)

    def by_password(self, user="ann", password=None):
        return self.connect(username=user, password=self.password if password is None else password)

    def by_token(self, token=None):
        return self.connect(**{DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {token or self.token}"})

    def pyarrow(self):
        return flight.connect(self.url, tls_root_certs=self.ca)


def rows(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def check_a_password_logs_in(server):
    with server.by_password() as connection:
        checks.equal(rows(connection, COUNT), [(server.rows,)], "rows")


def check_a_token_logs_in(server):
    with server.by_token() as connection:
        checks.equal(rows(connection, COUNT), [(server.rows,)], "rows")


def check_a_token_is_a_password_of_user_token(server):
    with server.by_password("token", server.token) as connection:
        checks.equal(rows(connection, COUNT), [(server.rows,)], "rows")


def check_options_are_kept_in_the_session_of_a_login(server):
    for connection in (server.by_password(), server.by_token()):
        with connection:
            rows(connection, "set kinesis.max_seconds = 77")
            checks.equal(rows(connection, "show kinesis.max_seconds")[0][1], "77", "max_seconds")


def check_wrong_credentials_do_not(server):
    def connected(connect):
        with connect() as connection:
            rows(connection, COUNT)

    checks.raises(DatabaseError, lambda: connected(lambda: server.by_password(password="wrong")), "credentials")
    checks.raises(DatabaseError, lambda: connected(lambda: server.by_token("wrong")), "credentials")
    checks.raises(DatabaseError, lambda: connected(server.connect), "credentials")


def check_rights(server):
    with server.by_token() as connection:
        checks.raises(DatabaseError, lambda: rows(connection, "select * from hidden"), "no right to read")
        names = connection.adbc_get_objects(depth="tables", catalog_filter="kinesis", db_schema_filter="default").read_all().to_pylist()
        tables = [table["table_name"] for catalog in names for schema in catalog["catalog_db_schemas"] for table in schema["db_schema_tables"]]
        checks.equal(tables, ["t"], "tables")
    with server.by_password() as connection:
        checks.equal(rows(connection, "select count(*) from hidden"), [(server.rows,)], "rows for who may read them")


def check_pyarrow_logs_in(server):
    client = server.pyarrow()
    options = flight.FlightCallOptions(headers=[client.authenticate_basic_token("ann", server.password)])
    info = client.get_flight_info(statement(COUNT), options)
    table = client.do_get(info.endpoints[0].ticket, options).read_all()
    checks.equal(table.column(0).to_pylist(), [server.rows], "rows")
    checks.raises(flight.FlightUnauthenticatedError, lambda: server.pyarrow().authenticate_basic_token("ann", "wrong"))
    checks.raises(flight.FlightUnauthenticatedError, lambda: server.pyarrow().get_flight_info(statement(COUNT)))


def check_the_servers_certificate_is_verified(server):
    checks.raises(flight.FlightUnavailableError, lambda: flight.connect(server.url).get_flight_info(statement(COUNT)))


if __name__ == "__main__":
    checks.run(globals(), Server(*sys.argv[1:]))
