"""One stack of verify-bi: SQLAlchemy with psycopg2, as Superset and notebooks use it. Speaks the lines that protocol.ts describes."""
import json
import sys
from datetime import date, datetime, timezone
from urllib.parse import unquote

import sqlalchemy
from sqlalchemy.engine import URL


def kind(value):
    if isinstance(value, datetime):
        return "datetime" if value.tzinfo is None else "datetime with zone"
    return type(value).__name__


def cell(value):
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (list, dict)):
        return json.dumps(value, default=str)
    return str(value)


def told(rows):
    kinds = [sorted({kind(row[at]) for row in rows if row[at] is not None}) for at in range(len(rows[0]))] if rows else []
    return {"kinds": kinds, "rows": [[cell(value) for value in row] for row in rows]}


def tables(connection, schema):
    inspector = sqlalchemy.inspect(connection)
    names = [(name, "VIEW") for name in inspector.get_view_names(schema=schema)]
    names += [(name, "TABLE") for name in inspector.get_table_names(schema=schema)]
    rows = []
    for name, what in names:
        # For views it works too.
        rows.append([name, what, inspector.get_table_comment(name, schema=schema)["text"]])
    return {"rows": rows}


def columns(connection, schema):
    inspector = sqlalchemy.inspect(connection)
    rows = []
    for view in inspector.get_view_names(schema=schema):
        for column in inspector.get_columns(view, schema=schema):
            rows.append([view, column["name"], str(column["type"]), column.get("comment")])
    return {"rows": rows}


def query(connection, sql):
    result = connection.exec_driver_sql(sql)
    names = list(result.keys())
    return {"columns": names, **told([tuple(row) for row in result.fetchall()])}


def write(connection, sql):
    return {"count": connection.exec_driver_sql(sql).rowcount}


def portions(connection, sql):
    # A server's cursor lives in a transaction.
    with connection.engine.connect().execution_options(isolation_level="READ COMMITTED", stream_results=True, max_row_buffer=50) as other:
        return {"count": sum(1 for _ in other.exec_driver_sql(sql))}


def main():
    host, port, database, user, password = [unquote(part) for part in sys.stdin.readline().rstrip("\n").split("\t")]
    url = URL.create("postgresql+psycopg2", username=user, password=password, host=host, port=int(port), database=database)
    # Without parameters a % in the text is a %.
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT", execution_options={"no_parameters": True})
    verbs = {"tables": tables, "columns": columns, "query": query, "portions": portions, "write": write}
    with engine.connect() as connection:
        for line in sys.stdin:
            verb, name, text = [unquote(part) for part in line.rstrip("\n").split("\t")]
            try:
                answer = verbs[verb](connection, text)
            except sqlalchemy.exc.DBAPIError as error:
                answer = {"error": str(error.orig), "sqlstate": error.orig.pgcode}
            print(json.dumps({"verb": verb, "name": name, **answer}), flush=True)


main()
