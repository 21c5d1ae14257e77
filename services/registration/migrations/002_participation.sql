-- Programmes, who takes part in them, and the pairs that matching made of them.

CREATE TABLE programmes (
    programme_id uuid PRIMARY KEY,
    version      integer NOT NULL,
    status       text NOT NULL CHECK (status IN ('open', 'closed')),
    ends_on      date NOT NULL,                         -- first day after the programme
    rules        jsonb NOT NULL,                        -- what the programme manager decided, whole
    changed_at   timestamptz NOT NULL
);
-- The closing job asks every few seconds.
CREATE INDEX programmes_to_close ON programmes (ends_on) WHERE status = 'open';

CREATE TABLE participants (
    participant_id    uuid PRIMARY KEY,
    programme_id      uuid NOT NULL REFERENCES programmes,
    employee_id       text NOT NULL,                    -- no reference: an erased person's row goes
    role              text NOT NULL CHECK (role IN ('mentor', 'mentee')),
    status            text NOT NULL
        CHECK (status IN ('invited', 'enrolled', 'ready', 'paused', 'withdrawn')),
    version           integer NOT NULL,
    topics_offered    jsonb NOT NULL,                   -- [[topic, proficiency], ...]
    topics_wanted     jsonb NOT NULL,                   -- [[topic, priority], ...]
    interests         text[] NOT NULL,
    languages         text[] NOT NULL,
    timezone          text NOT NULL,
    works_from        time NOT NULL,
    works_until       time NOT NULL,
    capacity          integer NOT NULL CHECK (capacity >= 1),
    blocks            text[] NOT NULL,
    agreement_version text,
    invited_at        timestamptz,
    enrolled_at       timestamptz,
    trained_at        timestamptz,
    ready_at          timestamptz,
    withdrawn_at      timestamptz,
    withdrawn_by      text CHECK (withdrawn_by IN ('participant', 'manager', 'employment')),
    changed_at        timestamptz NOT NULL,
    CHECK ((status = 'withdrawn') = (withdrawn_at IS NOT NULL))
);
-- A person takes one role per programme; who withdrew may come back as a new participant.
CREATE UNIQUE INDEX participants_living ON participants (programme_id, employee_id)
    WHERE status <> 'withdrawn';
CREATE INDEX participants_by_programme ON participants (programme_id, participant_id);
CREATE INDEX participants_by_employee ON participants (employee_id);

-- Projection of updraft.pairs: the newest version of each pair.
CREATE TABLE pairs (
    pair_id            uuid PRIMARY KEY,
    programme_id       uuid NOT NULL,
    mentor_id          uuid NOT NULL,
    mentee_id          uuid NOT NULL,
    mentor_employee_id text NOT NULL,
    mentee_employee_id text NOT NULL,
    status             text NOT NULL,
    version            integer NOT NULL,
    awaiting           text,
    asked              text[] NOT NULL,                 -- everybody whose answer was awaited so far
    topics             text[] NOT NULL,
    proposed_at        timestamptz NOT NULL,
    expires_at         timestamptz,
    created_at         timestamptz,
    closed_at          timestamptz
);
CREATE INDEX pairs_by_mentor_employee ON pairs (mentor_employee_id);
CREATE INDEX pairs_by_mentee_employee ON pairs (mentee_employee_id);
CREATE INDEX pairs_living_by_mentor ON pairs (mentor_id)
    WHERE status IN ('proposed', 'active', 'paused');
CREATE INDEX pairs_living_by_mentee ON pairs (mentee_id)
    WHERE status IN ('proposed', 'active', 'paused');

-- What was said to a proposal; each side says it once.
CREATE TABLE answers (
    pair_id     uuid NOT NULL REFERENCES pairs,
    by          text NOT NULL CHECK (by IN ('mentor', 'mentee', 'manager')),
    answer      text NOT NULL CHECK (answer IN ('accept', 'decline')),
    answered_at timestamptz NOT NULL,
    PRIMARY KEY (pair_id, by)
);
