ALTER TABLE `users` ADD `stored_on` text;--> statement-breakpoint
ALTER TABLE `users` ADD `stored_bytes` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
CREATE TRIGGER `users_store_run` AFTER INSERT ON `runs`
BEGIN
	UPDATE `users` SET `stored_on` = substr(new.`created_at`, 1, 10), `stored_bytes` = iif(`stored_on` IS substr(new.`created_at`, 1, 10), `stored_bytes`, 0) + octet_length(new.`prompt`) + octet_length(new.`data`)
	WHERE `id` = new.`user_id` AND (`stored_on` IS NULL OR `stored_on` <= substr(new.`created_at`, 1, 10) OR `stored_on` > date('now', '+2 days'));
END;
--> statement-breakpoint
CREATE TRIGGER `users_store_more_of_run` AFTER UPDATE OF `prompt`, `data` ON `runs` WHEN octet_length(new.`prompt`) + octet_length(new.`data`) > octet_length(old.`prompt`) + octet_length(old.`data`)
BEGIN
	UPDATE `users` SET `stored_bytes` = `stored_bytes` + octet_length(new.`prompt`) + octet_length(new.`data`) - octet_length(old.`prompt`) - octet_length(old.`data`)
	WHERE `id` = new.`user_id` AND `stored_on` = substr(new.`created_at`, 1, 10);
END;
--> statement-breakpoint
CREATE TRIGGER `users_store_delivery` AFTER INSERT ON `deliveries`
BEGIN
	UPDATE `users` SET `stored_on` = substr(new.`received_at`, 1, 10), `stored_bytes` = iif(`stored_on` IS substr(new.`received_at`, 1, 10), `stored_bytes`, 0) + octet_length(new.`payload`) + octet_length(new.`headers`)
	WHERE `id` = new.`user_id` AND (`stored_on` IS NULL OR `stored_on` <= substr(new.`received_at`, 1, 10) OR `stored_on` > date('now', '+2 days'));
END;
