-- How many HR changes took how long to arrive, so that the KPI about them can follow each change
-- without counting all of them anew.

CREATE TABLE arrivals (
    month        date NOT NULL,
    seconds      double precision NOT NULL, -- to three digits
    changes      bigint NOT NULL,
    microseconds numeric NOT NULL,          -- exactly, of all together
    PRIMARY KEY (month, seconds)
) WITH (fillfactor = 50);

INSERT INTO arrivals
SELECT date_trunc('month', arrived_at AT TIME ZONE 'UTC')::date,
       CASE WHEN lag_seconds = 0 THEN 0
            ELSE round(lag_seconds::numeric, 2 - floor(log(lag_seconds))::int) END,
       count(*), sum((lag_seconds * 1000000)::bigint)
FROM employee_states WHERE lag_seconds IS NOT NULL GROUP BY 1, 2;

-- KPIs about arrivals are measured by themselves, for they cost next to nothing.
ALTER TABLE stale ADD COLUMN basis text NOT NULL DEFAULT 'programme',
    DROP CONSTRAINT stale_pkey, ADD PRIMARY KEY (programme_id, basis);
ALTER TABLE stale ALTER COLUMN basis DROP DEFAULT;
ALTER TABLE measured ADD COLUMN basis text NOT NULL DEFAULT 'programme',
    DROP CONSTRAINT measured_pkey, ADD PRIMARY KEY (programme_id, basis);
ALTER TABLE measured ALTER COLUMN basis DROP DEFAULT;
