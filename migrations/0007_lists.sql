DROP INDEX `audit_actor_name`;--> statement-breakpoint
CREATE INDEX `audit_actor_name` ON `audit` (`actor_name`,`created_at`,`id`);--> statement-breakpoint
DROP INDEX `runs_user`;--> statement-breakpoint
DROP INDEX `runs_agent`;--> statement-breakpoint
DROP INDEX `runs_unended`;--> statement-breakpoint
CREATE INDEX `runs_user` ON `runs` (`user_id`,`created_at`,`id`,`status`,`trigger_id`,(data ->> '$.trigger.kind'));--> statement-breakpoint
CREATE INDEX `runs_agent` ON `runs` (`agent_id`,`created_at`,`id`,`user_id`,`status`,`trigger_id`,(data ->> '$.trigger.kind'));--> statement-breakpoint
CREATE INDEX `runs_unended` ON `runs` (`user_id`,`agent_id`) WHERE status in ('pending', 'starting', 'running');