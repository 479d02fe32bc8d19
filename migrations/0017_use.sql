CREATE TABLE `daily_use` (
	`user_id` text NOT NULL,
	`day` text NOT NULL,
	`agent_id` text NOT NULL,
	`runs` integer NOT NULL,
	`tokens` integer NOT NULL,
	`cost_usd` real NOT NULL,
	PRIMARY KEY(`user_id`, `day`, `agent_id`)
);
--> statement-breakpoint
CREATE INDEX `daily_use_day` ON `daily_use` (`day`);--> statement-breakpoint
ALTER TABLE `users` ADD `last_sign_in_at` text;--> statement-breakpoint
UPDATE `users` SET `last_sign_in_at` = (SELECT max(`created_at`) FROM `tokens` t WHERE t.`user_id` = `users`.`id` AND t.`kind` = 'session');--> statement-breakpoint
INSERT INTO `daily_use` SELECT `user_id`, substr(`created_at`, 1, 10), `agent_id`, count(*), sum((SELECT cast(total(`value`) AS integer) FROM json_each(`data`, '$.usage') WHERE `key` LIKE '%Tokens')), sum(coalesce(`data` ->> '$.usage.costUsd', 0)) FROM `runs` GROUP BY 1, 2, 3;--> statement-breakpoint
CREATE TRIGGER `daily_use_begin` AFTER INSERT ON `runs`
BEGIN
	INSERT INTO `daily_use` VALUES (new.`user_id`, substr(new.`created_at`, 1, 10), new.`agent_id`, 1, (SELECT cast(total(`value`) AS integer) FROM json_each(new.`data`, '$.usage') WHERE `key` LIKE '%Tokens'), coalesce(new.`data` ->> '$.usage.costUsd', 0))
	ON CONFLICT (`user_id`, `day`, `agent_id`) DO UPDATE SET `runs` = `runs` + 1, `tokens` = `tokens` + excluded.`tokens`, `cost_usd` = `cost_usd` + excluded.`cost_usd`;
END;
--> statement-breakpoint
CREATE TRIGGER `daily_use_change` AFTER UPDATE OF `data` ON `runs` WHEN new.`data` ->> '$.usage' IS NOT old.`data` ->> '$.usage'
BEGIN
	UPDATE `daily_use` SET
		`tokens` = `tokens` + (SELECT cast(total(`value`) AS integer) FROM json_each(new.`data`, '$.usage') WHERE `key` LIKE '%Tokens') - (SELECT cast(total(`value`) AS integer) FROM json_each(old.`data`, '$.usage') WHERE `key` LIKE '%Tokens'),
		`cost_usd` = `cost_usd` + coalesce(new.`data` ->> '$.usage.costUsd', 0) - coalesce(old.`data` ->> '$.usage.costUsd', 0)
	WHERE `user_id` = new.`user_id` AND `day` = substr(new.`created_at`, 1, 10) AND `agent_id` = new.`agent_id`;
END;
