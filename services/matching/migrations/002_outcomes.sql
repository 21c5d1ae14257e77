-- What a run is asked and what it finds is kept whole: its pairs before they are proposed, its proof,
-- and for a while what it decided by.

ALTER TABLE match_runs
    ADD first_asked_at     timestamptz NOT NULL DEFAULT clock_timestamp(),  -- of a wave; real time
    ADD dry_run            boolean NOT NULL DEFAULT false,  -- proposes nothing
    ADD replan             boolean NOT NULL DEFAULT false,  -- living pairs are decided anew too
    ADD review             boolean NOT NULL DEFAULT false,  -- its pairs wait for a manager
    ADD changes            jsonb NOT NULL DEFAULT '{}',     -- rules in place of the programme's
    ADD apart              jsonb NOT NULL DEFAULT '[]',     -- rejected pairs of the run before
    ADD asked_by           text,
    ADD approved_by        text,
    ADD doing              text,                            -- progress: what is done now,
    ADD share              double precision,                -- and which share of it is over
    ADD failure            text,
    ADD certificate        jsonb,                           -- present: solved
    ADD refused_locks      jsonb NOT NULL DEFAULT '[]',
    ADD coverage           jsonb NOT NULL DEFAULT '{}',     -- by department and level
    ADD seconds            double precision,
    ADD peak_memory_mb     double precision;

-- Of the runs that act at most one waits and one runs per programme; dry runs queue.
DROP INDEX match_runs_one_each;
CREATE UNIQUE INDEX match_runs_one_each ON match_runs (programme_id, state)
    WHERE state IN ('requested', 'running') AND NOT dry_run;
CREATE INDEX match_runs_open ON match_runs (programme_id)
    WHERE state IN ('requested', 'running', 'review', 'approved');

-- The pairs that a run found. `fate`: NULL until decided, then approved, rejected, proposed, or the
-- rule that had come to forbid the pair.
CREATE TABLE run_pairs (
    run_id    uuid NOT NULL,
    place     integer NOT NULL,                    -- best score first
    mentor_id uuid NOT NULL,
    mentee_id uuid NOT NULL,
    score     double precision NOT NULL,
    breakdown jsonb NOT NULL,
    topics    text[] NOT NULL,
    instead   jsonb NOT NULL,                      -- the next best counterpart of either side
    fate      text,
    pair_id   uuid,
    PRIMARY KEY (run_id, place)
);
CREATE INDEX run_pairs_of_mentor ON run_pairs (mentor_id);
CREATE INDEX run_pairs_of_mentee ON run_pairs (mentee_id);

-- What a run can be verified by. `mentions`: every employee who is named in the input.
CREATE TABLE run_archives (
    run_id   uuid PRIMARY KEY,
    kept_at  timestamptz NOT NULL DEFAULT clock_timestamp(),  -- real time
    input    bytea,                                -- gzip; NULL: somebody in it was erased
    prices   bytea,
    mentions text[] NOT NULL
);
CREATE INDEX run_archives_by_mention ON run_archives USING gin (mentions);

-- What a manager wants of two people: that the next run forms them, or that none ever does.
CREATE TABLE pair_locks (
    programme_id uuid NOT NULL,
    mentor_id    uuid NOT NULL,
    mentee_id    uuid NOT NULL,
    kind         text NOT NULL,                    -- together, apart
    set_by       text NOT NULL,
    set_at       timestamptz NOT NULL,
    PRIMARY KEY (programme_id, mentor_id, mentee_id)
);
CREATE TABLE pair_lock_log (
    programme_id uuid NOT NULL,
    mentor_id    uuid NOT NULL,
    mentee_id    uuid NOT NULL,
    kind         text,                             -- NULL: the lock was taken off
    set_by       text NOT NULL,
    set_at       timestamptz NOT NULL,
    number       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY
);
CREATE INDEX pair_lock_log_of_programme ON pair_lock_log (programme_id, number);
