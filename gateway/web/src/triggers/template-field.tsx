/** The message that a delivery becomes, as a form has it. */
export function TemplateField({ value, set }: { value: string; set: (value: string) => void }) {
  return (
    <label>
      Message to the agent
      <textarea
        rows={4}
        value={value}
        required
        spellcheck={false}
        onInput={(event) => set(event.currentTarget.value)}
      />
      <span class="muted">
        Mustache: <code>{"{{payload.…}}"}</code> is the body as JSON, <code>{"{{headers.…}}"}</code> its headers,{" "}
        <code>{"{{trigger.name}}"}</code> this trigger.
      </span>
    </label>
  );
}
