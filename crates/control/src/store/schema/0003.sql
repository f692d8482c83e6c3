-- What a token descends from: handles of tokens and grants, the root first, separated by spaces.
ALTER TABLE tokens ADD COLUMN ancestors TEXT;
-- Further claims of the token as members of a JSON object (`act`, `may_act`, details).
ALTER TABLE tokens ADD COLUMN claims TEXT;

-- What a client or a browser was told to come back with, by SHA-256 of it. `version` counts
-- changes: whoever changes a row names the version it judged.
CREATE TABLE kept (
    kind       TEXT NOT NULL,
    hash       BLOB NOT NULL,
    document   TEXT NOT NULL,
    version    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (kind, hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX kept_by_expiry ON kept (expires_at);

-- Permissions under which a client gets tokens again and again. The handle is the root of the
-- ancestors of every token that comes of it.
CREATE TABLE grants (
    grant_id   TEXT PRIMARY KEY,
    issuer     TEXT NOT NULL,
    client_id  TEXT NOT NULL,
    identity   TEXT NOT NULL,
    document   TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX grants_by_expiry ON grants (expires_at);

-- Refresh tokens by SHA-256 of their text. `used_at` is set, and `successor` named, when a token
-- was exchanged for the next.
CREATE TABLE refresh_tokens (
    hash      BLOB PRIMARY KEY,
    grant_id  TEXT NOT NULL,
    jkt       BLOB,
    issued_at INTEGER NOT NULL,
    used_at   INTEGER,
    successor BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX refresh_tokens_by_grant ON refresh_tokens (grant_id);
