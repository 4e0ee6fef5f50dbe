"""SQLAlchemy 1.4 by the dialect of flightsql-dbapi, as Superset uses it. Argument: the address, host:port.

SHARDFLIGHT_USER and SHARDFLIGHT_PASSWORD are credentials. The dialect wants some: where the server asks for none, any will do. With SHARDFLIGHT_TLS set, TLS."""

import os
import sys

import flightsql.sqlalchemy  # registers the dialect
import sqlalchemy

user, password = os.environ.get("SHARDFLIGHT_USER", "anyone"), os.environ.get("SHARDFLIGHT_PASSWORD", "anything")
options = "" if os.environ.get("SHARDFLIGHT_TLS") else "?insecure=True"
engine = sqlalchemy.create_engine(f"datafusion+flightsql://{user}:{password}@{sys.argv[1]}{options}")

inspector = sqlalchemy.inspect(engine)
print(inspector.get_table_names("default"))
print([column["name"] for column in inspector.get_columns("nasahttp", "default")])

with engine.connect() as connection:
    rows = connection.execute(sqlalchemy.text("select code, count(*) as requests from kinesis.default.nasahttp group by code order by code"))
    for row in rows:
        print(row["code"], row["requests"])
