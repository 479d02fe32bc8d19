CREATE INDEX `triggers_sealed` ON `triggers` (`secret`);--> statement-breakpoint
CREATE INDEX `triggers_sealed_before` ON `triggers` (`previous_secret`);