/** Whether a template puts words of whoever sends into the message: any tag but the trigger's own. The page asks it too, without schemas. */
export const hasSendersWords = (template: string) => /\{\{(?![!/]|[&{^#]?\s*trigger\b)/.test(template);
