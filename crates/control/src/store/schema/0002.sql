-- `cnf` of the token as JSON text, where it says more than `{"jkt": …}` of the column `jkt`.
ALTER TABLE tokens ADD COLUMN confirmation TEXT;
