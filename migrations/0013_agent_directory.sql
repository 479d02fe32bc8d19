ALTER TABLE `agents` ADD `directory` text;--> statement-breakpoint
ALTER TABLE `agents` ADD `repository` text;--> statement-breakpoint
ALTER TABLE `agents` ADD `repository_directory` text;