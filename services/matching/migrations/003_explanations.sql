-- What a run says beyond its pairs: what was taken as near, what would serve whom it left out, and
-- what its programme is short of.

ALTER TABLE run_pairs ADD near jsonb;           -- wanted topic → [the mentor's word, percent]
CREATE INDEX run_pairs_near ON run_pairs (pair_id) WHERE near IS NOT NULL;

ALTER TABLE unmatched
    ALTER reasons DROP NOT NULL,                -- NULL: was not ready, but could be
    ADD remedy jsonb;

ALTER TABLE match_runs
    ADD not_examined jsonb NOT NULL DEFAULT '[]',  -- kinds of changes that were not looked for
    ADD bottlenecks  jsonb NOT NULL DEFAULT '[]';
