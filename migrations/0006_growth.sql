DROP INDEX `tokens_revoked`;--> statement-breakpoint
CREATE INDEX `tokens_revoked` ON `tokens` (`user_id`,`revoked_at`) WHERE revoked_at is not null;--> statement-breakpoint
DROP INDEX `users_host`;--> statement-breakpoint
CREATE INDEX `users_disabled` ON `users` (`host_id`) WHERE disabled;--> statement-breakpoint
CREATE INDEX `users_host` ON `users` (`host_id`,`placed_at`,`id`);--> statement-breakpoint
CREATE INDEX `runs_unended_of_host` ON `runs` (`host_id`,`epoch`) WHERE status in ('pending', 'starting', 'running');