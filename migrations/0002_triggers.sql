CREATE TABLE `chores` (
	`name` text PRIMARY KEY NOT NULL,
	`due_at` text NOT NULL
);
--> statement-breakpoint
CREATE TABLE `deliveries` (
	`seq` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`id` text NOT NULL,
	`trigger_id` text NOT NULL,
	`user_id` text NOT NULL,
	`agent_id` text NOT NULL,
	`external_id` text,
	`replay_of` text,
	`received_at` text NOT NULL,
	`content_type` text,
	`headers` text NOT NULL,
	`payload` text NOT NULL,
	`bytes` integer NOT NULL,
	`run_id` text,
	`outcome` text,
	`detail` text,
	`due_at` text,
	`lease_until` text,
	`attempts` integer DEFAULT 0 NOT NULL,
	`maybe_sent` integer DEFAULT false NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `deliveries_id_unique` ON `deliveries` (`id`);--> statement-breakpoint
CREATE UNIQUE INDEX `deliveries_run_id_unique` ON `deliveries` (`run_id`);--> statement-breakpoint
CREATE UNIQUE INDEX `deliveries_external` ON `deliveries` (`trigger_id`,`external_id`);--> statement-breakpoint
CREATE INDEX `deliveries_trigger` ON `deliveries` (`trigger_id`,`received_at`,`id`);--> statement-breakpoint
CREATE INDEX `deliveries_received` ON `deliveries` (`received_at`);--> statement-breakpoint
CREATE INDEX `deliveries_waiting` ON `deliveries` (`user_id`,`agent_id`,`seq`,`due_at`,`lease_until`) WHERE due_at is not null;--> statement-breakpoint
CREATE TABLE `triggers` (
	`id` text PRIMARY KEY NOT NULL,
	`user_id` text NOT NULL,
	`agent_id` text NOT NULL,
	`name` text NOT NULL,
	`scheme` text NOT NULL,
	`template` text NOT NULL,
	`secret` text NOT NULL,
	`previous_secret` text,
	`previous_until` text,
	`created_at` text NOT NULL,
	`updated_at` text NOT NULL
);
--> statement-breakpoint
CREATE INDEX `triggers_agent` ON `triggers` (`agent_id`,`created_at`,`id`);