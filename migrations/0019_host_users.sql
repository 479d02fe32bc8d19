ALTER TABLE `hosts` ADD `users` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
UPDATE `hosts` SET `users` = (SELECT count(*) FROM `users` u WHERE u.`host_id` = `hosts`.`id`);--> statement-breakpoint
CREATE INDEX `hosts_users` ON `hosts` (`users`,`id`) WHERE removed_at is null;--> statement-breakpoint
CREATE TRIGGER `host_users_come` AFTER INSERT ON `users` WHEN new.`host_id` IS NOT NULL
BEGIN
	UPDATE `hosts` SET `users` = `users` + 1 WHERE `id` = new.`host_id`;
END;
--> statement-breakpoint
CREATE TRIGGER `host_users_move` AFTER UPDATE OF `host_id` ON `users` WHEN new.`host_id` IS NOT old.`host_id`
BEGIN
	UPDATE `hosts` SET `users` = `users` - 1 WHERE `id` = old.`host_id`;
	UPDATE `hosts` SET `users` = `users` + 1 WHERE `id` = new.`host_id`;
END;
--> statement-breakpoint
CREATE TRIGGER `host_users_go` AFTER DELETE ON `users` WHEN old.`host_id` IS NOT NULL
BEGIN
	UPDATE `hosts` SET `users` = `users` - 1 WHERE `id` = old.`host_id`;
END;