CREATE TABLE `audit` (
	`id` text PRIMARY KEY NOT NULL,
	`created_at` text NOT NULL,
	`actor_kind` text NOT NULL,
	`actor_id` text,
	`actor_name` text,
	`token_id` text,
	`action` text NOT NULL,
	`target_id` text,
	`target_name` text,
	`address` text,
	`outcome` text NOT NULL,
	`detail` text NOT NULL
);
--> statement-breakpoint
CREATE INDEX `audit_created` ON `audit` (`created_at`,`id`);--> statement-breakpoint
CREATE INDEX `audit_actor` ON `audit` (`actor_id`,`created_at`,`id`);--> statement-breakpoint
CREATE INDEX `audit_action` ON `audit` (`action`,`created_at`,`id`);--> statement-breakpoint
CREATE INDEX `audit_target` ON `audit` (`target_id`,`created_at`,`id`);--> statement-breakpoint
CREATE TABLE `identities` (
	`issuer` text NOT NULL,
	`subject` text NOT NULL,
	`user_id` text NOT NULL,
	`created_at` text NOT NULL,
	PRIMARY KEY(`issuer`, `subject`),
	FOREIGN KEY (`user_id`) REFERENCES `users`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE INDEX `identities_user` ON `identities` (`user_id`);--> statement-breakpoint
CREATE TABLE `providers` (
	`issuer` text PRIMARY KEY NOT NULL,
	`metadata` text NOT NULL,
	`jwks` text NOT NULL,
	`read_at` text NOT NULL
);
--> statement-breakpoint
CREATE TRIGGER `audit_keeps` BEFORE UPDATE ON `audit`
BEGIN
	SELECT RAISE(ABORT, 'the audit is appended only');
END;
--> statement-breakpoint
CREATE TRIGGER `audit_keeps_a_year` BEFORE DELETE ON `audit` WHEN old.`created_at` > strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-366 days')
BEGIN
	SELECT RAISE(ABORT, 'the audit is kept for a year');
END;
