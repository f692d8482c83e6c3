CREATE TABLE schema_migrations (
    number     INTEGER PRIMARY KEY,
    applied_at INTEGER NOT NULL
) STRICT;

-- Small facts of the store itself: sealed secrets, the check of the
-- key-encryption key, how far background work has come.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Every token that was minted; `number` is the sequence number of its event.
-- `proof_*` and `assertion_*` are the one-time values that were spent for it; at
-- open the live ones are read back from here.
CREATE TABLE tokens (
    number            INTEGER PRIMARY KEY,
    token_hash        BLOB NOT NULL,
    token_id          TEXT,
    issuer            TEXT NOT NULL,
    client_id         TEXT NOT NULL,
    identity          TEXT NOT NULL,
    jkt               BLOB,
    binding           TEXT NOT NULL,
    audience          TEXT NOT NULL,
    scope             TEXT NOT NULL,
    issued_at         INTEGER NOT NULL,
    expires_at        INTEGER NOT NULL,
    request_id        TEXT,
    proof_key         BLOB,
    proof_sender      INTEGER,
    proof_expires     INTEGER,
    assertion_key     BLOB,
    assertion_sender  INTEGER,
    assertion_expires INTEGER
) STRICT;

-- Assertions spent without a token coming of it (introspection, revocation).
CREATE TABLE assertion_uses (
    number     INTEGER PRIMARY KEY,
    key        BLOB NOT NULL,
    sender     INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

-- What is refused everywhere: locked (can be released) or revoked (cannot).
-- `seal` is a checksum over the row: a damaged row must stop the start, not
-- turn a revocation off.
CREATE TABLE withheld (
    kind       TEXT NOT NULL,
    issuer     TEXT NOT NULL,
    value      TEXT NOT NULL,
    state      TEXT NOT NULL,
    by         TEXT NOT NULL,
    reason     TEXT,
    at_ms      INTEGER NOT NULL,
    expires_at INTEGER,
    seal       BLOB NOT NULL,
    PRIMARY KEY (kind, issuer, value)
) STRICT, WITHOUT ROWID;

-- What streams are told, in order. A superseded row is one whose effect was
-- undone later; new streams do not hear of it.
CREATE TABLE signals (
    sequence   INTEGER PRIMARY KEY AUTOINCREMENT,
    kind       TEXT NOT NULL,
    issuer     TEXT NOT NULL,
    value      TEXT NOT NULL,
    effect     TEXT NOT NULL,
    at_ms      INTEGER NOT NULL,
    expires_at INTEGER,
    superseded INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX signals_by_subject ON signals (kind, issuer, value);

CREATE TABLE streams (
    stream_id   TEXT PRIMARY KEY,
    receiver    TEXT NOT NULL UNIQUE,
    audience    TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    snapshot_to INTEGER NOT NULL,
    cursor      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Acknowledgements ahead of a stream's cursor.
CREATE TABLE stream_acks (
    stream_id TEXT NOT NULL,
    sequence  INTEGER NOT NULL,
    PRIMARY KEY (stream_id, sequence)
) STRICT, WITHOUT ROWID;

-- The event log. `reporter` is the authenticated client that delivered the
-- event, NULL for this machine's own. `chain` is SHA-256 over the previous chain
-- value of the same reporter and node and this event's JSON.
CREATE TABLE events (
    sequence INTEGER PRIMARY KEY,
    id       TEXT NOT NULL,
    reporter TEXT,
    node     TEXT NOT NULL,
    kind     TEXT NOT NULL,
    json     TEXT NOT NULL,
    chain    BLOB NOT NULL
) STRICT;
-- Only what is delivered can come twice.
CREATE UNIQUE INDEX events_delivered ON events (reporter, id) WHERE reporter IS NOT NULL;

-- By what tokens and events are found: 64 bits of a hash of a term. Filled in
-- the background, sorted, up to `meta.filed_to`; the rest is kept in memory.
CREATE TABLE terms (
    term     INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (term, sequence)
) STRICT, WITHOUT ROWID;

-- Last chain value of each reporter ('' for this machine) and node.
CREATE TABLE chains (
    reporter TEXT NOT NULL,
    node     TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    chain    BLOB NOT NULL,
    PRIMARY KEY (reporter, node)
) STRICT, WITHOUT ROWID;

CREATE TABLE clients (
    client_id TEXT PRIMARY KEY,
    source    TEXT NOT NULL,
    document  TEXT NOT NULL,
    seal      BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX clients_by_source ON clients (source);

-- Private keys are sealed with AES-256-GCM under the key-encryption key.
CREATE TABLE signing_keys (
    kid         TEXT PRIMARY KEY,
    purpose     TEXT NOT NULL,
    algorithm   TEXT NOT NULL,
    sealed      BLOB NOT NULL,
    created_at  INTEGER NOT NULL,
    publish_at  INTEGER NOT NULL,
    active_from INTEGER NOT NULL,
    retire_at   INTEGER NOT NULL,
    remove_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
