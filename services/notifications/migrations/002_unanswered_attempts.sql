-- An attempt ended without the mail server's answer, so the mail may have arrived all the same.
ALTER TABLE messages ADD COLUMN unanswered boolean NOT NULL DEFAULT false;
