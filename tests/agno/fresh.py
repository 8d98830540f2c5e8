"""Makes the tables that this Agno release makes for itself: fresh.py FILE_OR_URL. For a file it writes their DDL to stdout."""

import sqlite3
import sys

from make import TYPES, database, optional

db = database(sys.argv[1])
for table_type in TYPES:
    optional(table_type, lambda: db._get_table(table_type, create_table_if_not_found=True))
if "://" in sys.argv[1]:
    sys.exit()
order = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND tbl_name IN ({}) ORDER BY type DESC, name"
mine = [
    name
    for attribute, name in vars(db).items()
    if attribute.endswith("_table_name")
    and attribute.removesuffix("_table_name").rstrip("s")
    in "session run memory metric eval knowledge culture approval component schedule schedule_run learning version".split()
]
for (sql,) in sqlite3.connect(sys.argv[1]).execute(order.format(",".join("?" * len(mine))), mine):
    print(sql + ";")
