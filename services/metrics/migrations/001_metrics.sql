-- Facts. Where a KPI is told as of a moment, every version is kept and the newest is a view.

CREATE TABLE programmes (
    programme_id     uuid PRIMARY KEY,
    version          integer NOT NULL,
    status           text NOT NULL,
    starts_on        date NOT NULL,
    length_days      integer NOT NULL,
    cadence_days     integer NOT NULL,
    min_level_gap    integer NOT NULL,
    min_group_size   integer NOT NULL,
    departments      text[] NOT NULL,
    countries        text[] NOT NULL,
    mentor_max_level integer NOT NULL,
    mentee_min_level integer NOT NULL,
    min_tenure_days  integer NOT NULL,
    kpi_targets      jsonb NOT NULL,
    closed_at        timestamptz
);

CREATE TABLE employee_states (
    employee_id             text NOT NULL,
    version                 integer NOT NULL,
    status                  text NOT NULL,
    job_level               integer NOT NULL,
    department              text NOT NULL,
    country                 text,
    manager_id              text,
    dotted_line_manager_ids text[] NOT NULL,
    start_date              date NOT NULL,
    leaves_on               date,
    effective_from          timestamptz NOT NULL,
    arrived_at              timestamptz NOT NULL,
    lag_seconds             double precision,
    PRIMARY KEY (employee_id, version)
);
CREATE VIEW employees AS
SELECT DISTINCT ON (employee_id) * FROM employee_states ORDER BY employee_id, version DESC;

CREATE TABLE participant_states (
    participant_id uuid NOT NULL,
    version        integer NOT NULL,
    programme_id   uuid NOT NULL,
    employee_id    text NOT NULL,
    role           text NOT NULL,
    status         text NOT NULL,
    capacity       integer NOT NULL,
    languages      text[] NOT NULL,
    blocks         text[] NOT NULL,
    ready_at       timestamptz,
    changed_at     timestamptz NOT NULL,
    PRIMARY KEY (participant_id, version)
);
CREATE INDEX participant_states_by_programme ON participant_states (programme_id);
CREATE VIEW participants AS
SELECT DISTINCT ON (participant_id) * FROM participant_states
ORDER BY participant_id, version DESC;

CREATE TABLE pair_states (
    pair_id            uuid NOT NULL,
    version            integer NOT NULL,
    programme_id       uuid NOT NULL,
    mentor_id          uuid NOT NULL,
    mentee_id          uuid NOT NULL,
    mentor_employee_id text NOT NULL,
    mentee_employee_id text NOT NULL,
    status             text NOT NULL,
    cross_department   boolean NOT NULL,
    proposed_at        timestamptz NOT NULL,
    created_at         timestamptz,
    paused_at          timestamptz,
    paused_days        double precision NOT NULL,
    closed_at          timestamptz,
    reason             text,
    left_by            text,
    changed_at         timestamptz NOT NULL,
    PRIMARY KEY (pair_id, version)
);
CREATE INDEX pair_states_by_programme ON pair_states (programme_id);
CREATE VIEW pairs AS
SELECT DISTINCT ON (pair_id) * FROM pair_states ORDER BY pair_id, version DESC;

CREATE TABLE answers (
    pair_id      uuid NOT NULL,
    programme_id uuid NOT NULL,
    by           text NOT NULL,
    accepted     boolean NOT NULL,
    answered_at  timestamptz NOT NULL,
    PRIMARY KEY (pair_id, by, answered_at)
);

CREATE TABLE sessions (
    session_id         uuid PRIMARY KEY,
    pair_id            uuid NOT NULL,
    programme_id       uuid NOT NULL,
    mentor_employee_id text NOT NULL,
    mentee_employee_id text NOT NULL,
    version            integer NOT NULL,
    status             text NOT NULL,
    starts_at          timestamptz NOT NULL,
    booked             boolean NOT NULL,
    held               boolean,
    cancelled_by       text,
    cancelled_at       timestamptz
);
CREATE INDEX sessions_by_programme ON sessions (programme_id);

CREATE TABLE feedback (
    feedback_id    uuid PRIMARY KEY,
    pair_id        uuid NOT NULL,
    programme_id   uuid NOT NULL,
    by             text NOT NULL,
    by_employee_id text NOT NULL,
    kind           text NOT NULL,
    score          integer NOT NULL,
    session_id     uuid,
    topic          text,
    given_at       timestamptz NOT NULL
);
CREATE INDEX feedback_by_programme ON feedback (programme_id);

CREATE TABLE goals (
    goal_id      uuid PRIMARY KEY,
    pair_id      uuid NOT NULL,
    programme_id uuid NOT NULL,
    set_at       timestamptz NOT NULL,
    reached_at   timestamptz
);
CREATE INDEX goals_by_programme ON goals (programme_id);

CREATE TABLE match_runs (
    run_id          uuid PRIMARY KEY,
    programme_id    uuid NOT NULL,
    proposed        integer NOT NULL,
    mentees_waiting integer NOT NULL,
    mentors_waiting integer NOT NULL,
    completed_at    timestamptz NOT NULL
);

CREATE TABLE notifications (
    notification_id uuid PRIMARY KEY,
    programme_id    uuid,
    employee_id     text NOT NULL,
    kind            text NOT NULL,
    outcome         text NOT NULL,
    owed_at         timestamptz NOT NULL,
    sent_at         timestamptz
);
CREATE INDEX notifications_by_programme ON notifications (programme_id);

-- Programmes with facts that are not measured yet; `marks` rises with each such fact.
CREATE TABLE stale (
    programme_id uuid PRIMARY KEY,
    marks        bigint NOT NULL DEFAULT 1
);

-- When each programme was measured last.
CREATE TABLE measured (
    programme_id uuid PRIMARY KEY,
    measured_at  timestamptz NOT NULL
);

-- What was published last under each key.
CREATE TABLE measures (
    programme_id       uuid NOT NULL,
    kpi                text NOT NULL,
    period_kind        text NOT NULL,
    period_start       date NOT NULL,
    period_end         date NOT NULL,
    dimension          text NOT NULL,
    group_name         text NOT NULL,
    definition_version integer NOT NULL,
    numerator          double precision,
    denominator        double precision,
    value              double precision,
    interval_low       double precision,
    interval_high      double precision,
    suppressed         boolean NOT NULL,
    measured_at        timestamptz NOT NULL,
    PRIMARY KEY (programme_id, kpi, period_kind, period_start, dimension, group_name)
);
