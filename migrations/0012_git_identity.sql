ALTER TABLE `users` ADD `git_name` text;--> statement-breakpoint
ALTER TABLE `users` ADD `git_email` text;