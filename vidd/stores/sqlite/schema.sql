-- version 1
CREATE TABLE jobs (
  id TEXT PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  pipeline TEXT NOT NULL,
  source TEXT NOT NULL,
  location TEXT NOT NULL,
  name TEXT NOT NULL,
  created TEXT NOT NULL,
  changed TEXT NOT NULL,
  state TEXT NOT NULL,
  facts TEXT NOT NULL,
  settings TEXT NOT NULL,
  priority INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  tried TEXT,
  talk TEXT,
  reason TEXT,
  until TEXT
) WITHOUT ROWID;
CREATE INDEX jobs_by_state ON jobs (state, pipeline, created);
CREATE INDEX jobs_by_talk ON jobs (talk) WHERE talk IS NOT NULL;
CREATE INDEX jobs_waiting ON jobs (until) WHERE state = 'waiting';
CREATE TABLE history (
  job TEXT NOT NULL REFERENCES jobs (id),
  at TEXT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT
);
CREATE INDEX history_by_job ON history (job);
CREATE TABLE steps (
  job TEXT NOT NULL REFERENCES jobs (id),
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  outcome TEXT NOT NULL,
  seconds REAL NOT NULL,
  PRIMARY KEY (job, name)
);
CREATE TABLE publications (
  job TEXT NOT NULL REFERENCES jobs (id),
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  notice INTEGER NOT NULL,
  state TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  tried TEXT,
  begun INTEGER NOT NULL,
  token TEXT NOT NULL,
  receipt TEXT,
  reason TEXT,
  until TEXT,
  changed TEXT NOT NULL,
  PRIMARY KEY (job, name)
);
CREATE TABLE programmes (
  name TEXT PRIMARY KEY,
  read TEXT NOT NULL,
  talks INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE talks (
  programme TEXT NOT NULL,
  id TEXT NOT NULL,
  position INTEGER NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (programme, id)
) WITHOUT ROWID;
CREATE TABLE dead_letters (
  at TEXT NOT NULL,
  source TEXT NOT NULL,
  reason TEXT NOT NULL,
  body TEXT NOT NULL
);
CREATE TABLE flags (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;
-- version 2
CREATE TABLE memory (
  space TEXT NOT NULL,
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (space, name)
) WITHOUT ROWID;
ALTER TABLE publications ADD COLUMN edition INTEGER NOT NULL DEFAULT 1;
ALTER TABLE publications ADD COLUMN revision TEXT;
-- version 3
CREATE INDEX jobs_incomplete ON jobs (pipeline) WHERE state = 'published' AND reason IS NOT NULL;
-- version 4
CREATE INDEX jobs_listed ON jobs (created, id, state, pipeline, talk, name, changed);
CREATE INDEX jobs_changed ON jobs (changed, state, pipeline);
-- version 5
ALTER TABLE steps ADD COLUMN ended TEXT;
-- version 5
CREATE INDEX history_by_time ON history (at, state, job);
