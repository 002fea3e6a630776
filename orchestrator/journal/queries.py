"""Every SQL statement of the SQLite journal, each with a name.

The one rule it keeps: entries are only ever inserted.
"""

from __future__ import annotations

APPLICATION_ID = 0x62617363  # "basc"; `file` and `sqlite3` can tell what it is
VERSION = 1

SCHEMA = """
CREATE TABLE entries (seq INTEGER PRIMARY KEY, body TEXT NOT NULL, hash BLOB NOT NULL);
CREATE TABLE head (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL, hash BLOB NOT NULL);
CREATE TABLE detector_rows (check_id TEXT PRIMARY KEY, row TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE lease (id INTEGER PRIMARY KEY CHECK (id = 1), epoch INTEGER NOT NULL, held TEXT);
CREATE TABLE epochs (epoch INTEGER PRIMARY KEY, holder TEXT NOT NULL, pid INTEGER NOT NULL, wall REAL NOT NULL);
CREATE TABLE checkpoints (seq INTEGER PRIMARY KEY, state TEXT NOT NULL, hash BLOB NOT NULL, digest BLOB NOT NULL);
CREATE TABLE models (digest TEXT PRIMARY KEY, model TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE axis (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  boot TEXT NOT NULL, offset_s REAL NOT NULL, at REAL NOT NULL, wall REAL NOT NULL, gap_s REAL NOT NULL
);
CREATE TRIGGER entries_stay BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'entries are never removed'); END;
CREATE TRIGGER entries_stand BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'entries are never changed'); END;
"""
BEGIN_STORE = "INSERT INTO head (id, seq, hash) VALUES (1, 0, ?)"
BEGIN_LEASE = "INSERT INTO lease (id, epoch, held) VALUES (1, 0, NULL)"

HEAD = "SELECT seq, hash FROM head"
MOVE_HEAD = "UPDATE head SET seq = ?, hash = ?"
ADD_ENTRY = "INSERT INTO entries (seq, body, hash) VALUES (?, ?, ?)"
ENTRIES_AFTER = "SELECT seq, body, hash FROM entries WHERE seq > ? ORDER BY seq LIMIT ?"
ENTRY_HASH = "SELECT hash FROM entries WHERE seq = ?"

PUT_ROW = (
    "INSERT INTO detector_rows (check_id, row) VALUES (?, ?) ON CONFLICT (check_id) DO UPDATE SET row = excluded.row"
)
FORGET_ROW = "DELETE FROM detector_rows WHERE check_id = ?"
ROWS = "SELECT check_id, row FROM detector_rows ORDER BY check_id"

LEASE = "SELECT epoch, held FROM lease"
TAKE_LEASE = "UPDATE lease SET epoch = ?, held = ?"
KEEP_LEASE = "UPDATE lease SET held = ?"
ADD_EPOCH = "INSERT INTO epochs (epoch, holder, pid, wall) VALUES (?, ?, ?, ?)"
LAST_EPOCH = "SELECT max(epoch) FROM epochs"

PUT_CHECKPOINT = "INSERT OR REPLACE INTO checkpoints (seq, state, hash, digest) VALUES (?, ?, ?, ?)"
DROP_OLD_CHECKPOINTS = (
    "DELETE FROM checkpoints WHERE seq NOT IN (SELECT seq FROM checkpoints ORDER BY seq DESC LIMIT 2)"
)
CHECKPOINTS = "SELECT seq, state, hash, digest FROM checkpoints ORDER BY seq DESC"

PUT_MODEL = "INSERT OR IGNORE INTO models (digest, model) VALUES (?, ?)"
MODEL = "SELECT model FROM models WHERE digest = ?"

AXIS = "SELECT boot, offset_s, at, wall, gap_s FROM axis"
PUT_AXIS = "INSERT OR REPLACE INTO axis (id, boot, offset_s, at, wall, gap_s) VALUES (1, ?, ?, ?, ?, ?)"

QUICK_CHECK = "PRAGMA quick_check(20)"
