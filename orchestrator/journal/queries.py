"""Every SQL statement of the SQLite journal, each with a name.

The one rule it keeps: entries are only ever inserted, and only those that a gap stands for are deleted.
"""

from __future__ import annotations

APPLICATION_ID = 0x62617363  # "basc"; `file` and `sqlite3` can tell what it is
VERSION = 2

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

# From format 1 to 2: what is under the chain beside entries, what was let go of, and an index of what is told. The
# file itself keeps the index (it is what `slices.py` says in Python): a program of format 1 that still has it open does
# not know of it. Of entries that were there before, those from `done` + 1 to `until` are not in it yet.
SECOND = """
ALTER TABLE checkpoints ADD COLUMN bound INTEGER;
ALTER TABLE models ADD COLUMN bound INTEGER;
CREATE TABLE gaps (
  first INTEGER PRIMARY KEY, last INTEGER NOT NULL, before BLOB NOT NULL, after BLOB NOT NULL, bound INTEGER
);
CREATE TABLE told (seq INTEGER PRIMARY KEY, incident INTEGER NOT NULL);
CREATE INDEX told_incident ON told (seq) WHERE incident;
CREATE TABLE told_done (id INTEGER PRIMARY KEY CHECK (id = 1), done INTEGER NOT NULL, until INTEGER NOT NULL);
INSERT INTO told_done SELECT 1, 0, coalesce(max(seq), 0) FROM entries;
CREATE TRIGGER entries_told AFTER INSERT ON entries
WHEN EXISTS (
  SELECT 1 FROM json_each(NEW.body, '$.records') AS r WHERE json_extract(r.value, '$.kind') <> 'VerdictChanged'
)
BEGIN
  INSERT OR IGNORE INTO told SELECT NEW.seq, EXISTS (
    SELECT 1 FROM json_each(NEW.body, '$.records') AS r WHERE json_extract(r.value, '$.kind') LIKE 'Incident%'
  );
END;
DROP TRIGGER entries_stay;
CREATE TRIGGER entries_stay BEFORE DELETE ON entries
WHEN NOT EXISTS (SELECT 1 FROM gaps WHERE OLD.seq BETWEEN first AND last)
BEGIN SELECT RAISE(ABORT, 'entries are never removed'); END;
"""
BEGIN_STORE = "INSERT INTO head (id, seq, hash) VALUES (1, 0, ?)"
BEGIN_LEASE = "INSERT INTO lease (id, epoch, held) VALUES (1, 0, NULL)"

MADE = "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND sql NOTNULL"
PROGRAMS = "SELECT type, name, sql FROM sqlite_master WHERE type IN ('trigger', 'view')"
HEAD = "SELECT seq, hash FROM head"
MOVE_HEAD = "UPDATE head SET seq = ?, hash = ?"
ADD_ENTRY = "INSERT INTO entries (seq, body, hash) VALUES (?, ?, ?)"
ENTRIES_FROM_TO = "SELECT seq, body, hash FROM entries WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT ?"
LAST_ENTRY = "SELECT max(seq) FROM entries"
ENTRY_HASH = "SELECT hash FROM entries WHERE seq = ?"
ENTRY = "SELECT body, hash FROM entries WHERE seq = ?"

TOLD = "SELECT seq FROM told WHERE seq <= (SELECT seq FROM head) ORDER BY seq"
TOLD_FROM_TO = "SELECT seq, incident FROM told WHERE seq BETWEEN ? AND ?"
TOLD_OF_INCIDENTS = (
    "SELECT t.seq, e.body FROM told t JOIN entries e ON e.seq = t.seq WHERE t.incident AND t.seq > ?"
    " ORDER BY t.seq LIMIT ?"
)
NAMING = "SELECT seq FROM entries WHERE EXISTS (SELECT 1 FROM json_each(?) WHERE instr(body, value)) ORDER BY seq"
TOLD_NAMING = (
    "SELECT seq FROM entries WHERE (seq IN (SELECT seq FROM told) OR (seq > ? AND seq <= ?))"
    " AND EXISTS (SELECT 1 FROM json_each(?) WHERE instr(body, value)) ORDER BY seq"
)
TOLD_DONE = "SELECT done, until FROM told_done"
TELL = """
INSERT OR IGNORE INTO told SELECT seq, EXISTS (
  SELECT 1 FROM json_each(body, '$.records') AS r WHERE json_extract(r.value, '$.kind') LIKE 'Incident%'
) FROM entries WHERE seq > ? AND seq <= ? AND EXISTS (
  SELECT 1 FROM json_each(body, '$.records') AS r WHERE json_extract(r.value, '$.kind') <> 'VerdictChanged'
)
"""
TELL_ANEW = "UPDATE told_done SET done = 0, until = (SELECT seq FROM head)"
TOLD_DONE_AND_HEAD = "SELECT done, until, (SELECT seq FROM head) FROM told_done"
TOLD_OF_NONE = "SELECT seq FROM told WHERE seq > (SELECT seq FROM head) ORDER BY seq LIMIT 20"
MOVE_TOLD_DONE = "UPDATE told_done SET done = ?"

GAP_AT = "SELECT first, last, before, after FROM gaps WHERE first <= ? ORDER BY first DESC LIMIT 1"
GAPS_OVER_ENTRIES = (
    "SELECT first, last FROM gaps WHERE EXISTS (SELECT 1 FROM entries WHERE seq BETWEEN first AND last) LIMIT 20"
)
PUT_GAP = "INSERT INTO gaps (first, last, before, after, bound) VALUES (?, ?, ?, ?, ?)"
DROP_GAP = "DELETE FROM gaps WHERE first = ?"
QUIET_AFTER = (
    "SELECT seq, body FROM entries WHERE seq > ? AND seq <= ? AND seq NOT IN (SELECT seq FROM told)"
    " AND seq NOT IN (SELECT bound FROM gaps WHERE bound NOTNULL)"
    " AND seq NOT IN (SELECT bound FROM models WHERE bound NOTNULL) ORDER BY seq LIMIT ?"
)
DROP_ENTRY = "DELETE FROM entries WHERE seq = ?"
BODIES_BACK = "SELECT body FROM entries WHERE seq <= ? ORDER BY seq DESC LIMIT 1"

PUT_ROW = (
    "INSERT INTO detector_rows (check_id, row) VALUES (?, ?) ON CONFLICT (check_id) DO UPDATE SET row = excluded.row"
)
FORGET_ROW = "DELETE FROM detector_rows WHERE check_id = ?"
ROWS = "SELECT check_id, row FROM detector_rows ORDER BY check_id"

LEASE = "SELECT epoch, held FROM lease"
TAKE_LEASE = "UPDATE lease SET epoch = ?, held = ?"
KEEP_LEASE = "UPDATE lease SET held = ?"
ADD_EPOCH = "INSERT INTO epochs (epoch, holder, pid, wall) VALUES (?, ?, ?, ?)"
EPOCHS = "SELECT count(*), min(epoch), max(epoch), (SELECT epoch FROM lease) FROM epochs"
LAST_EPOCH = "SELECT max(epoch) FROM epochs"

PUT_CHECKPOINT = "INSERT OR REPLACE INTO checkpoints (seq, state, hash, digest, bound) VALUES (?, ?, ?, ?, ?)"
DROP_OLD_CHECKPOINTS = """
DELETE FROM checkpoints WHERE seq NOT IN (
  SELECT seq FROM checkpoints WHERE bound NOTNULL AND seq <= (SELECT seq FROM head) ORDER BY seq DESC LIMIT 2
)
"""
CHECKPOINTS = "SELECT seq, state, hash, digest FROM checkpoints ORDER BY seq DESC"
CHECKPOINT_BOUND = "SELECT bound FROM checkpoints WHERE seq = ?"
OLDEST_CHECKPOINT = "SELECT min(seq) FROM checkpoints WHERE bound NOTNULL"

PUT_MODEL = (  # an empty one was let go of, and is put anew
    "INSERT INTO models (digest, model) VALUES (?, ?)"
    " ON CONFLICT (digest) DO UPDATE SET model = excluded.model, bound = NULL WHERE model = ''"
)
LET_GO_OF_MODEL = "UPDATE models SET model = '', bound = ? WHERE digest = ?"
BOUND_MODEL = "SELECT model FROM models WHERE digest = ? AND bound NOTNULL AND model != ''"
MODEL = "SELECT model FROM models WHERE digest = ?"
MODEL_BOUND = "SELECT bound FROM models WHERE digest = ?"
MODELS = "SELECT digest, model FROM models WHERE model != '' ORDER BY digest"
BIND_MODEL = "UPDATE models SET bound = ? WHERE digest = ?"

AXIS = "SELECT boot, offset_s, at, wall, gap_s FROM axis"
PUT_AXIS = "INSERT OR REPLACE INTO axis (id, boot, offset_s, at, wall, gap_s) VALUES (1, ?, ?, ?, ?, ?)"

QUICK_CHECK = "PRAGMA quick_check(20)"
