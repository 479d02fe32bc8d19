CREATE TABLE `deleted_agents` (
	`id` text PRIMARY KEY NOT NULL
);
--> statement-breakpoint
CREATE TRIGGER `agents_forgotten` AFTER DELETE ON `agents`
BEGIN
	INSERT OR IGNORE INTO `deleted_agents` VALUES (old.`id`);
END;
