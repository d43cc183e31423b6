"""Users where you keep them: one class with one method. Here it is a table of an SQLite database."""

import sqlite3
from contextlib import closing

from flask_securest import User
from flask_securest.errors import BackendError
from flask_securest.userstores import AbstractUserstore


class SQLiteUserstore(AbstractUserstore):
    def __init__(self, path):
        self.path = path

    def get_user(self, identifier):
        query = "SELECT username, password_hash, active, roles FROM users WHERE username = ?"
        try:
            with closing(sqlite3.connect(self.path, timeout=2)) as connection:
                row = connection.execute(query, [identifier]).fetchone()
        except sqlite3.Error as error:
            raise BackendError("the user database cannot be read") from error  # 503, and not "no such user"
        except UnicodeEncodeError:
            row = None  # half a surrogate pair is nobody's name
        if row is None:
            return None
        username, password_hash, active, roles = row
        return User(username, password_hash, active=bool(active), roles=roles.split())
