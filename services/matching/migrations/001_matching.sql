-- What the other services told us, and the pairs and runs that we decide.

-- Projections: the highest version wins, so order and repetition are harmless.
CREATE TABLE employees (
    employee_id text PRIMARY KEY,
    version     bigint NOT NULL,
    status      text NOT NULL,                       -- an erased person has left
    job_level   integer NOT NULL,
    department  text NOT NULL,
    division    text,
    location    text,
    country     text,
    leaves_on   date,
    erased      boolean NOT NULL
);

-- Solid and dotted lines alike; kept apart so that both directions of the tree have an index.
CREATE TABLE reporting (
    employee_id text NOT NULL,
    manager_id  text NOT NULL,
    PRIMARY KEY (employee_id, manager_id)
);
CREATE INDEX reporting_downwards ON reporting (manager_id, employee_id);

CREATE TABLE programmes (
    programme_id      uuid PRIMARY KEY,
    version           bigint NOT NULL,
    status            text NOT NULL,
    starts_on         date NOT NULL,
    ends_on           date NOT NULL,                 -- first day after the programme
    silence_days      integer NOT NULL,
    rules             jsonb NOT NULL,
    last_scheduled_on date
);

CREATE TABLE participants (
    participant_id uuid PRIMARY KEY,
    programme_id   uuid NOT NULL,
    employee_id    text NOT NULL,
    role           text NOT NULL,
    version        bigint NOT NULL,
    status         text NOT NULL,
    consented      boolean NOT NULL,
    trained        boolean NOT NULL,
    offers         jsonb NOT NULL,
    wants          jsonb NOT NULL,
    interests      text[] NOT NULL,
    languages      text[] NOT NULL,
    timezone       text NOT NULL,
    works_from     time NOT NULL,
    works_until    time NOT NULL,
    capacity       integer NOT NULL,
    blocks         text[] NOT NULL,
    ready_at       timestamptz,
    withdrawn_by   text
);
CREATE INDEX participants_by_programme ON participants (programme_id, status);
CREATE INDEX participants_by_employee ON participants (employee_id);

CREATE TABLE sessions (
    session_id uuid PRIMARY KEY,
    pair_id    uuid NOT NULL,
    version    bigint NOT NULL,
    status     text NOT NULL,
    starts_at  timestamptz NOT NULL,
    held       boolean
);
CREATE INDEX sessions_by_pair ON sessions (pair_id, starts_at);

CREATE TABLE answers (
    pair_id     uuid NOT NULL,
    by          text NOT NULL,
    answer      text NOT NULL,
    answered_at timestamptz NOT NULL,
    PRIMARY KEY (pair_id, by, answer)
);

CREATE TABLE concerns (
    concern_id     uuid PRIMARY KEY,
    pair_id        uuid NOT NULL,
    category       text NOT NULL,
    exit_requested boolean NOT NULL,
    raised_by      text NOT NULL,
    raised_at      timestamptz NOT NULL,
    resolved_at    timestamptz
);

-- Ours.
CREATE TABLE pairs (
    pair_id            uuid PRIMARY KEY,
    programme_id       uuid NOT NULL,
    mentor_id          uuid NOT NULL,
    mentee_id          uuid NOT NULL,
    mentor_employee_id text NOT NULL,
    mentee_employee_id text NOT NULL,
    status             text NOT NULL,
    version            bigint NOT NULL,
    awaiting           text,
    score              double precision NOT NULL,
    breakdown          jsonb NOT NULL,
    topics             text[] NOT NULL,
    cross_department   boolean NOT NULL,
    run_id             uuid,
    programme_version  bigint NOT NULL,
    proposed_at        timestamptz NOT NULL,
    asked_at           timestamptz,
    expires_at         timestamptz,
    created_at         timestamptz,
    paused_at          timestamptz,
    paused_days        double precision NOT NULL,
    closed_at          timestamptz,
    reason             text,
    left_by            text,
    broken_rule        text,
    active_since       timestamptz,
    changed_at         timestamptz NOT NULL
);
-- Two people are brought together once in their lives, in whichever roles and programme.
CREATE UNIQUE INDEX pairs_never_again ON pairs (
    least(mentor_employee_id, mentee_employee_id), greatest(mentor_employee_id, mentee_employee_id)
);
CREATE INDEX pairs_of_mentor ON pairs (mentor_employee_id);
CREATE INDEX pairs_of_mentee ON pairs (mentee_employee_id);
CREATE INDEX pairs_living ON pairs (programme_id) WHERE status IN ('proposed', 'active', 'paused');
CREATE INDEX pairs_to_expire ON pairs (expires_at) WHERE status = 'proposed';
CREATE INDEX pairs_to_fall_silent ON pairs (active_since) WHERE status = 'active';

-- People who lost a partner that left, until the next pair is formed: they come first.
CREATE TABLE orphans (
    participant_id uuid PRIMARY KEY,
    orphaned_since timestamptz NOT NULL,
    lost_pair_id   uuid NOT NULL
);

CREATE TABLE match_runs (
    run_id            uuid PRIMARY KEY,
    programme_id      uuid NOT NULL,
    trigger           text NOT NULL,
    state             text NOT NULL,    -- requested, running, completed, failed, unchanged, over
    asked_at          timestamptz NOT NULL DEFAULT clock_timestamp(),  -- real time
    at_once           boolean NOT NULL,              -- false: waits for the rest of a wave
    attempts          integer NOT NULL DEFAULT 0,
    requested_at      timestamptz NOT NULL,
    started_at        timestamptz,
    completed_at      timestamptz,
    programme_version bigint,
    input_hash        text,
    state_hash        text,
    proposed          integer,
    dropped           integer,                       -- overtaken by events while the run solved
    mentees_waiting   integer,
    mentors_waiting   integer,
    objective         double precision
);
-- At most one run waits and one runs per programme.
CREATE UNIQUE INDEX match_runs_one_each ON match_runs (programme_id, state)
    WHERE state IN ('requested', 'running');
CREATE INDEX match_runs_of_programme ON match_runs (programme_id, requested_at DESC);

-- The newest explanation of everybody whom a run left without a partner.
CREATE TABLE unmatched (
    participant_id uuid PRIMARY KEY,
    run_id         uuid NOT NULL,
    reasons        jsonb NOT NULL,
    explained_at   timestamptz NOT NULL
);
