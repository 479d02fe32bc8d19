CREATE TABLE `host_minutes` (
	`host_id` text NOT NULL,
	`at` text NOT NULL,
	`workspaces` integer NOT NULL,
	`active_runs` integer NOT NULL,
	`memory_used_bytes` integer NOT NULL,
	`disk_available_bytes` integer NOT NULL,
	`answer_ms` real,
	PRIMARY KEY(`host_id`, `at`)
);
--> statement-breakpoint
CREATE INDEX `host_minutes_at` ON `host_minutes` (`at`);