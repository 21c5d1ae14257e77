-- A page keeps room for the next state of a row. Whatever the size of the table, a change then
-- touches that one page; in full pages it would touch another one, and one in each index.

ALTER TABLE hr_records SET (fillfactor = 90);
ALTER TABLE employees SET (fillfactor = 90);
ALTER TABLE contacts SET (fillfactor = 90);
