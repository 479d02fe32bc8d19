ALTER TABLE `hosts` ADD `paused_until` text;--> statement-breakpoint
ALTER TABLE `users` ADD `pending_due_at` text;--> statement-breakpoint
CREATE INDEX `users_pending` ON `users` (`host_id`,`pending_due_at`) WHERE pending_due_at is not null;--> statement-breakpoint
CREATE INDEX `deliveries_leased` ON `deliveries` (`lease_until`) WHERE lease_until is not null;--> statement-breakpoint
UPDATE `users` SET `pending_due_at` = (SELECT min(`due_at`) FROM `deliveries` d WHERE d.`user_id` = `users`.`id` AND d.`due_at` IS NOT NULL) WHERE `id` IN (SELECT `user_id` FROM `deliveries` WHERE `due_at` IS NOT NULL);
