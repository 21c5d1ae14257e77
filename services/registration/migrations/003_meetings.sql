-- Sessions, feedback, goals and concerns of pairs, and the links used up.

CREATE TABLE sessions (
    session_id         uuid PRIMARY KEY,
    pair_id            uuid NOT NULL REFERENCES pairs,
    programme_id       uuid NOT NULL,
    mentor_employee_id text NOT NULL,
    mentee_employee_id text NOT NULL,
    status             text NOT NULL
        CHECK (status IN ('scheduled', 'logged', 'confirmed', 'disputed', 'cancelled')),
    version            integer NOT NULL,
    starts_at          timestamptz NOT NULL,
    minutes            integer NOT NULL CHECK (minutes BETWEEN 5 AND 480),
    scheduled_by       text,
    logged_by          text,
    logged_at          timestamptz,
    held               boolean,
    no_show_by         text,
    confirmed_at       timestamptz,
    disputed_at        timestamptz,
    cancelled_by       text,
    cancelled_at       timestamptz,
    changed_at         timestamptz NOT NULL,
    CHECK ((status = 'cancelled') = (cancelled_at IS NOT NULL)),
    CHECK ((logged_at IS NULL) = (held IS NULL))
);
CREATE INDEX sessions_by_pair ON sessions (pair_id, starts_at);

CREATE TABLE feedback (
    feedback_id    uuid PRIMARY KEY,
    pair_id        uuid NOT NULL REFERENCES pairs,
    by             text NOT NULL,
    by_employee_id text NOT NULL,
    kind           text NOT NULL,
    score          integer NOT NULL CHECK (score BETWEEN 0 AND 10),
    session_id     uuid REFERENCES sessions,
    topic          text,
    comment        text,                                -- private: leaves this table in no event
    given_at       timestamptz NOT NULL
);
-- One pulse per person and session, one nps and fit per pair, one skill rating per topic.
CREATE UNIQUE INDEX feedback_once
    ON feedback (pair_id, by_employee_id, kind, session_id, lower(topic)) NULLS NOT DISTINCT;
CREATE INDEX feedback_by_employee ON feedback (by_employee_id);

CREATE TABLE goals (
    goal_id            uuid PRIMARY KEY,
    pair_id            uuid NOT NULL REFERENCES pairs,
    set_by             text NOT NULL,
    set_by_employee_id text NOT NULL,
    title              text NOT NULL,                   -- leaves this table in no event
    topic              text,
    set_at             timestamptz NOT NULL,
    reached_at         timestamptz
);
CREATE INDEX goals_by_pair ON goals (pair_id);
CREATE INDEX goals_by_employee ON goals (set_by_employee_id);

CREATE TABLE concerns (
    concern_id            uuid PRIMARY KEY,
    pair_id               uuid NOT NULL REFERENCES pairs,
    programme_id          uuid NOT NULL,
    raised_by             text NOT NULL,
    raised_by_employee_id text NOT NULL,
    category              text NOT NULL,
    exit_requested        boolean NOT NULL,
    text                  text,                         -- leaves this table in no event
    raised_at             timestamptz NOT NULL,
    resolution            text,
    resolved_at           timestamptz
);
CREATE INDEX concerns_by_time ON concerns (raised_at, concern_id);
CREATE INDEX concerns_by_employee ON concerns (raised_by_employee_id);

-- A group is all links of one question in one mail: who used one has used them all.
CREATE TABLE used_links (
    link_group uuid PRIMARY KEY,
    action     text NOT NULL,
    used_at    timestamptz NOT NULL
);
