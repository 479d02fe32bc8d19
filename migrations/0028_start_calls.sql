CREATE TABLE `start_calls` (
	`run_id` text PRIMARY KEY NOT NULL,
	`host_id` text NOT NULL,
	`asked_at` text NOT NULL
);
--> statement-breakpoint
CREATE INDEX `start_calls_asked` ON `start_calls` (`asked_at`);