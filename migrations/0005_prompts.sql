ALTER TABLE `runs` ADD `prompt` text DEFAULT '' NOT NULL;--> statement-breakpoint
CREATE INDEX `agents_deleted` ON `agents` (`deleted_at`) WHERE deleted_at is not null;--> statement-breakpoint
CREATE INDEX `agents_dropped` ON `agents` (`dropped_at`) WHERE dropped_at is not null;--> statement-breakpoint
CREATE INDEX `audit_actor_name` ON `audit` (`actor_name`);--> statement-breakpoint
CREATE INDEX `join_tokens_expires` ON `join_tokens` (`expires_at`);--> statement-breakpoint
CREATE INDEX `sign_in_codes_user` ON `sign_in_codes` (`user_id`);--> statement-breakpoint
CREATE INDEX `sign_in_codes_expires` ON `sign_in_codes` (`expires_at`);--> statement-breakpoint
CREATE INDEX `tokens_expires` ON `tokens` (`expires_at`);--> statement-breakpoint
CREATE INDEX `users_admins` ON `users` (`id`) WHERE role = 'admin' and not disabled;--> statement-breakpoint
CREATE INDEX `workspaces_host` ON `workspaces` (`host_id`);--> statement-breakpoint
UPDATE `runs` SET `prompt` = coalesce(json_extract(`data`, '$.prompt'), ''), `data` = json_remove(`data`, '$.prompt');
