-- Contacts: the only personal data of this service. Erasure deletes the row.
CREATE TABLE contacts (
    employee_id text PRIMARY KEY,
    version bigint NOT NULL,
    given_name text,
    display_name text,
    email text,
    locale text NOT NULL,
    timezone text NOT NULL
);

CREATE TABLE employees (
    employee_id text PRIMARY KEY,
    version bigint NOT NULL,
    status text NOT NULL
);

-- What a person does not want to be mailed about; kind '*': nothing that is optional.
CREATE TABLE unsubscriptions (
    employee_id text NOT NULL,
    kind text NOT NULL,
    since timestamptz NOT NULL,
    PRIMARY KEY (employee_id, kind)
);

CREATE TABLE programmes (
    programme_id uuid PRIMARY KEY,
    version bigint NOT NULL,
    status text NOT NULL,
    name text NOT NULL,
    starts_on date NOT NULL,
    length_days int NOT NULL,
    cadence_days int NOT NULL,
    session_minutes int NOT NULL,
    training_required boolean NOT NULL,
    nudges jsonb NOT NULL,
    sponsor_employee_id text,
    manager_employee_id text,
    next_digest_at timestamptz NOT NULL
);
CREATE INDEX programmes_with_digest ON programmes (next_digest_at)
    WHERE status = 'open' AND manager_employee_id IS NOT NULL;

CREATE TABLE participants (
    participant_id uuid PRIMARY KEY,
    programme_id uuid NOT NULL,
    employee_id text NOT NULL,
    role text NOT NULL,
    version bigint NOT NULL,
    status text NOT NULL,
    invited_at timestamptz,
    enrolled_at timestamptz,
    trained_at timestamptz
);
CREATE INDEX participants_of_programme ON participants (programme_id, status);

CREATE TABLE pairs (
    pair_id uuid PRIMARY KEY,
    programme_id uuid NOT NULL,
    version bigint NOT NULL,
    status text NOT NULL,
    mentor_employee_id text NOT NULL,
    mentee_employee_id text NOT NULL,
    awaiting text,
    topics jsonb NOT NULL,
    asked_at timestamptz,
    expires_at timestamptz,
    created_at timestamptz,
    active_since timestamptz,
    reason text,
    left_by text,
    -- When the nudge rules look at the pair again; every change of its facts sets it to now.
    next_look_at timestamptz
);
CREATE INDEX pairs_to_look_at ON pairs (next_look_at) WHERE next_look_at IS NOT NULL;
CREATE INDEX pairs_of_programme ON pairs (programme_id, status);
CREATE INDEX pairs_awaiting_manager ON pairs (programme_id) WHERE awaiting = 'manager';

CREATE TABLE sessions (
    session_id uuid PRIMARY KEY,
    pair_id uuid NOT NULL,
    programme_id uuid NOT NULL,
    version bigint NOT NULL,
    status text NOT NULL,
    mentor_employee_id text NOT NULL,
    mentee_employee_id text NOT NULL,
    starts_at timestamptz NOT NULL,
    minutes int NOT NULL,
    booked_at timestamptz,
    logged_by text,
    logged_at timestamptz,
    held boolean,
    cancelled_by text,
    cancelled_at timestamptz
);
CREATE INDEX sessions_of_pair ON sessions (pair_id);
CREATE INDEX sessions_of_programme ON sessions (programme_id, starts_at);

CREATE TABLE pulses (
    session_id uuid NOT NULL,
    role text NOT NULL,
    PRIMARY KEY (session_id, role)
);

CREATE TABLE goals (
    goal_id uuid PRIMARY KEY,
    pair_id uuid NOT NULL,
    reached_at timestamptz NOT NULL
);
CREATE INDEX goals_of_pair ON goals (pair_id);

-- The newest whole-programme figures, for the digest.
CREATE TABLE kpis (
    programme_id uuid NOT NULL,
    kpi text NOT NULL,
    value double precision,
    unit text NOT NULL,
    measured_at timestamptz NOT NULL,
    PRIMARY KEY (programme_id, kpi)
);

CREATE TABLE match_runs (
    programme_id uuid PRIMARY KEY,
    completed_at timestamptz NOT NULL,
    proposed int NOT NULL,
    mentees_waiting int NOT NULL,
    mentors_waiting int NOT NULL
);

-- Every message ever owed. owed_at, due_at and settled_at are programme time; recorded_at,
-- tried_since, next_attempt_at and claimed_until are real time, because mail servers live in it.
CREATE TABLE messages (
    notification_id uuid PRIMARY KEY,
    idempotency_key text NOT NULL UNIQUE,
    kind text NOT NULL,
    employee_id text NOT NULL,
    recipient text NOT NULL,
    programme_id uuid,
    participant_id uuid,
    pair_id uuid,
    session_id uuid,
    about_at timestamptz,
    owed_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'owed' CHECK (state IN ('owed', 'sent', 'failed', 'suppressed')),
    reason text,
    settled_at timestamptz,
    -- The recipient's calendar day that the mail counts for.
    day date,
    attempts int NOT NULL DEFAULT 0,
    tried_since timestamptz,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    next_attempt_at timestamptz NOT NULL DEFAULT '-infinity',
    claim uuid,
    claimed_until timestamptz
);
CREATE INDEX messages_owed ON messages (due_at) WHERE state = 'owed';
CREATE INDEX messages_owed_to ON messages (employee_id) WHERE state = 'owed';
CREATE INDEX messages_per_day ON messages (employee_id, day) WHERE day IS NOT NULL;
CREATE INDEX messages_of_programme ON messages (programme_id, kind, state);
CREATE INDEX messages_of_session ON messages (session_id) WHERE kind = 'session_scheduled';
