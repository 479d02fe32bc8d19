DROP INDEX `deliveries_trigger`;--> statement-breakpoint
CREATE INDEX `deliveries_listed` ON `deliveries` (`trigger_id`,`received_at`,`id`,`external_id`,`replay_of`,`content_type`,`bytes`,`run_id`,`outcome`,`detail`);--> statement-breakpoint
DROP TRIGGER `users_store_delivery`;--> statement-breakpoint
CREATE TRIGGER `users_store_delivery` AFTER INSERT ON `deliveries`
BEGIN
	UPDATE `users` SET `stored_on` = substr(new.`received_at`, 1, 10), `stored_bytes` = iif(`stored_on` IS substr(new.`received_at`, 1, 10), `stored_bytes`, 0) + octet_length(new.`payload`) + octet_length(new.`headers`) + 700
	WHERE `id` = new.`user_id` AND (`stored_on` IS NULL OR `stored_on` <= substr(new.`received_at`, 1, 10) OR `stored_on` > date('now', '+2 days'));
END;
