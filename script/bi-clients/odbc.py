"""One stack of verify-bi: unixODBC with Debian's psqlODBC, by pyodbc. Speaks the lines that protocol.ts describes."""
import json
import sys
from datetime import date, datetime
from urllib.parse import unquote

import pyodbc

# What docs/bi.md tells people to set: booleans as booleans, no text cut at 255 characters, times in UTC.
OPTIONS = "BoolsAsChar=0;UnknownsAsLongVarchar=1;TextAsLongVarchar=1;ConnSettings=set time zone 'UTC'"


def cell(value):
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


# SQLTables and SQLColumns of this driver leave REMARKS empty: comments are asked of the catalogue, as docs/bi.md says.
TOLD = """
select c.relname, a.attname, col_description(c.oid, coalesce(a.attnum, 0)), obj_description(c.oid, 'pg_class')
from pg_class c left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
where c.relnamespace = ?::regnamespace"""


def told(connection, schema):
    rows = connection.cursor().execute(TOLD, schema).fetchall()
    return {**{row[0]: row[3] for row in rows}, **{(row[0], row[1]): row[2] for row in rows}}


def tables(connection, schema):
    comments = told(connection, schema)
    found = connection.cursor().tables(schema=schema).fetchall()
    return {"rows": [[row.table_name, row.table_type, row.remarks or comments[row.table_name]] for row in found]}


def columns(connection, schema):
    comments = told(connection, schema)
    found = connection.cursor().columns(schema=schema).fetchall()
    named = [(row, comments[row.table_name, row.column_name]) for row in found]
    return {"rows": [[row.table_name, row.column_name, row.type_name, row.remarks or comment] for row, comment in named]}


def query(connection, sql):
    cursor = connection.cursor().execute(sql)
    names = [column[0] for column in cursor.description]
    rows = cursor.fetchall()
    kinds = [sorted({type(row[at]).__name__ for row in rows if row[at] is not None}) for at in range(len(names))] if rows else []
    return {"columns": names, "kinds": kinds, "rows": [[cell(value) for value in row] for row in rows]}


def write(connection, sql):
    return {"count": connection.cursor().execute(sql).rowcount}


def portions(login, sql):
    with pyodbc.connect(f"{login};UseDeclareFetch=1;Fetch=50", autocommit=False) as other:
        return {"count": sum(1 for _ in other.execute(sql))}


def main():
    host, port, database, user, password = [unquote(part) for part in sys.stdin.readline().rstrip("\n").split("\t")]
    login = f"Driver={{PostgreSQL Unicode}};Servername={host};Port={port};Database={database};UID={user};PWD={{{password}}};{OPTIONS}"
    connection = pyodbc.connect(login, autocommit=True)
    verbs = {"tables": tables, "columns": columns, "query": query, "write": write}
    for line in sys.stdin:
        verb, name, text = [unquote(part) for part in line.rstrip("\n").split("\t")]
        try:
            answer = portions(login, text) if verb == "portions" else verbs[verb](connection, text)
        except pyodbc.Error as error:
            answer = {"error": str(error.args[-1]), "sqlstate": str(error.args[0])}
        print(json.dumps({"verb": verb, "name": name, **answer}), flush=True)


main()
