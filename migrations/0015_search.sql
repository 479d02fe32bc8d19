ALTER TABLE `runs` ADD `words_id` integer;--> statement-breakpoint
CREATE INDEX `runs_words` ON `runs` (`words_id`);--> statement-breakpoint
UPDATE `runs` SET `words_id` = t.`words_id` FROM (SELECT `id`, (strftime('%s', `created_at`) || substr(`created_at`, 21, 3)) * 1000000 + row_number() OVER (PARTITION BY `created_at` ORDER BY `id`) - 1 AS `words_id` FROM `runs`) t WHERE t.`id` = `runs`.`id`;--> statement-breakpoint
CREATE VIRTUAL TABLE `run_words` USING fts5(`owner`, `prompt`, `result`, content='', contentless_delete=1, prefix='1 2 3', tokenize='unicode61 remove_diacritics 2');--> statement-breakpoint
INSERT INTO `run_words` (`rowid`, `owner`, `prompt`, `result`) SELECT `words_id`, hex(`user_id`), substr(`prompt`, 1, 8192), substr(`data` ->> '$.result', 1, 8192) FROM `runs` WHERE `words_id` IS NOT NULL ORDER BY `words_id`;--> statement-breakpoint
CREATE TRIGGER `run_words_begin` AFTER INSERT ON `runs`
BEGIN
	UPDATE `runs` SET `words_id` = coalesce((SELECT `words_id` + 1 FROM `runs` WHERE `words_id` >= (strftime('%s', new.`created_at`) || substr(new.`created_at`, 21, 3)) * 1000000 AND `words_id` < (strftime('%s', new.`created_at`) || substr(new.`created_at`, 21, 3)) * 1000000 + 1000000 ORDER BY `words_id` DESC LIMIT 1), (strftime('%s', new.`created_at`) || substr(new.`created_at`, 21, 3)) * 1000000) WHERE `id` = new.`id`;
	INSERT INTO `run_words` (`rowid`, `owner`, `prompt`, `result`) SELECT `words_id`, hex(`user_id`), substr(`prompt`, 1, 8192), substr(`data` ->> '$.result', 1, 8192) FROM `runs` WHERE `id` = new.`id` AND `words_id` IS NOT NULL;
END;
--> statement-breakpoint
CREATE TRIGGER `run_words_change` AFTER UPDATE OF `prompt`, `data` ON `runs` WHEN new.`words_id` IS NOT NULL AND (new.`prompt` <> old.`prompt` OR new.`data` ->> '$.result' IS NOT old.`data` ->> '$.result')
BEGIN
	DELETE FROM `run_words` WHERE `rowid` = new.`words_id`;
	INSERT INTO `run_words` (`rowid`, `owner`, `prompt`, `result`) VALUES (new.`words_id`, hex(new.`user_id`), substr(new.`prompt`, 1, 8192), substr(new.`data` ->> '$.result', 1, 8192));
END;
--> statement-breakpoint
CREATE TRIGGER `run_words_end` AFTER DELETE ON `runs` WHEN old.`words_id` IS NOT NULL
BEGIN
	DELETE FROM `run_words` WHERE `rowid` = old.`words_id`;
END;
