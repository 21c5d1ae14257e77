-- The directory: what HR said, and the clean state that follows from it.

-- The newest word of HR on each person; the row is locked while a person changes.
CREATE TABLE hr_records (
    employee_id     text PRIMARY KEY,
    sequence        bigint NOT NULL,                    -- highest accepted, applied or scheduled
    digest          bytea NOT NULL,                     -- of that record: tells a repetition
    effective_date  date,                               -- of the facts in force
    facts           jsonb,                              -- null: nothing in force yet, or erased
    contact_version integer NOT NULL,                   -- outlives the contact when it is erased
    erased          boolean NOT NULL
);

-- Work attributes only: no name and no address.
CREATE TABLE employees (
    employee_id             text PRIMARY KEY,
    version                 integer NOT NULL,
    status                  text NOT NULL CHECK (status IN ('pending', 'active', 'on_leave', 'left')),
    job_level               integer NOT NULL,
    job_family              text,
    title                   text,
    organization            text,
    division                text,
    department              text NOT NULL,
    manager_id              text,
    dotted_line_manager_ids text[] NOT NULL,
    location                text,
    country                 text,
    timezone                text NOT NULL,
    start_date              date NOT NULL,
    leaves_on               date,
    effective_from          timestamptz NOT NULL,
    skills                  text[] NOT NULL,
    interests               text[] NOT NULL,
    erased                  boolean NOT NULL
);
-- The job asks several times a second whose last day has passed.
CREATE INDEX employees_leaving ON employees (leaves_on)
    WHERE status <> 'left' AND leaves_on IS NOT NULL;
CREATE INDEX employees_by_level ON employees (job_level) WHERE status = 'active';

-- How to reach a person; gone when the person is erased.
CREATE TABLE contacts (
    employee_id  text PRIMARY KEY,
    version      integer NOT NULL,
    given_name   text,
    display_name text,
    email        text,
    locale       text NOT NULL,
    timezone     text NOT NULL
);

-- Changes that HR announced for a day to come, and due ones that had to be held back.
CREATE TABLE scheduled_changes (
    employee_id    text NOT NULL,
    sequence       bigint NOT NULL,
    effective_date date NOT NULL,
    changes        jsonb NOT NULL,
    held_because   text,
    PRIMARY KEY (employee_id, sequence)
);
CREATE INDEX scheduled_changes_due ON scheduled_changes (effective_date);
