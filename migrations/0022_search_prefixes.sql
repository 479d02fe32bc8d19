DROP TABLE `run_words`;--> statement-breakpoint
CREATE VIRTUAL TABLE `run_words` USING fts5(`owner`, `prompt`, `result`, content='', contentless_delete=1, prefix='1 2 3 4 5 6 7 8 9 10', tokenize='unicode61 remove_diacritics 2');--> statement-breakpoint
INSERT INTO `run_words` (`rowid`, `owner`, `prompt`, `result`) SELECT `words_id`, hex(`user_id`), substr(`prompt`, 1, 8192), substr(`data` ->> '$.result', 1, 8192) FROM `runs` WHERE `words_id` IS NOT NULL ORDER BY `words_id`;
