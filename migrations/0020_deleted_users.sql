CREATE TABLE `deleted_users` (
	`id` text PRIMARY KEY NOT NULL,
	`name` text NOT NULL,
	`host_id` text,
	`deleted_at` text NOT NULL,
	`gone_at` text
);
--> statement-breakpoint
CREATE INDEX `deleted_users_left` ON `deleted_users` (`host_id`) WHERE gone_at is null;