DROP INDEX `runs_created`;--> statement-breakpoint
CREATE INDEX `runs_ended` ON `runs` (`created_at`) WHERE status in ('completed', 'failed', 'cancelled');--> statement-breakpoint
DROP INDEX `deliveries_received`;--> statement-breakpoint
CREATE INDEX `deliveries_received` ON `deliveries` (`received_at`) WHERE due_at is null;--> statement-breakpoint
ALTER TABLE `chores` ADD `reached` text;