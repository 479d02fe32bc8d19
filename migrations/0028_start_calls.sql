CREATE TABLE `start_calls` (
	`user_id` text NOT NULL,
	`run_id` text NOT NULL,
	`call_id` text NOT NULL,
	`host_id` text NOT NULL,
	`asked` text NOT NULL,
	`asked_at` text NOT NULL,
	PRIMARY KEY(`user_id`, `run_id`, `call_id`)
);
--> statement-breakpoint
CREATE INDEX `start_calls_asked` ON `start_calls` (`asked_at`);