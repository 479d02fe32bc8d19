ALTER TABLE `hosts` ADD `protocol` integer;--> statement-breakpoint
ALTER TABLE `hosts` ADD `refusal` text;--> statement-breakpoint
ALTER TABLE `users` ADD `placed_at` text;--> statement-breakpoint
ALTER TABLE `users` ADD `notice` text;