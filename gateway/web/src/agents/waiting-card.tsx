/** What a run waits for: a permission, a question or a plan, and the answer of its user. */
import type { AnswerBody, Run, Waiting } from "@berth/shared/resources";
import { t } from "../i18n/language.ts";
import { ApiError, post } from "../api/api.ts";
import { Markdown } from "../markdown/markdown.tsx";
import { askedOf, noteRuns, runs, type Asked } from "../state/live.ts";
import { useKept, useKeptFields } from "../kept/use-kept.ts";
import type { RunLog } from "../state/run-logs.ts";
import { DiffView } from "../transcript/diff-view.tsx";
import { objectOf, textOf } from "../transcript/fields.ts";
import { editOf, inputText, shortPath } from "../transcript/tools.ts";
import { Failure } from "../ui/failure.tsx";
import { LongText } from "../ui/long-text.tsx";
import { useTask } from "../ui/use-task.ts";

type Decision = Omit<AnswerBody, "requestId">;
interface CardProps {
  asked: Asked;
  /** What the agent has done so far, where that is here. */
  log: RunLog | null;
  answer: (decision: Decision) => void;
  isBusy: boolean;
}

export function WaitingCard({ run, asked, log }: { run: Run; asked: Asked; log: RunLog | null }) {
  const task = useTask(async (decision: Decision) => {
    try {
      const answered = await post<Run>(`/v1/runs/${run.id}/answers`, { requestId: asked.requestId, ...decision });
      // No older than what it answers, and the socket may be one that says nothing any more.
      noteRuns([answered], askedOf(runs.value.get(run.id) ?? run)?.requestId === asked.requestId);
    } catch (error) {
      // Another device was first; what became of it is told by the socket.
      if (!(error instanceof ApiError) || error.code !== "conflict") throw error;
    }
  });
  const titles: Partial<Record<Waiting["kind"], string>> = t().conversation.asks;
  const title = titles[asked.kind];
  const Card = asked.kind === "question" ? Question : asked.kind === "plan" ? Plan : Permission;
  return (
    <section class="asks" aria-label={title}>
      <h3>{title}</h3>
      <Card asked={asked} log={log} answer={(decision) => void task.run(decision)} isBusy={task.isBusy} />
      <Failure error={task.failure} />
    </section>
  );
}

/** A refusal with its reason, beside whatever allows. */
function Decide({ asked, allow, deny, answer, isBusy }: CardProps & { allow: string; deny: string }) {
  const [kept, setReason] = useKept(`berth.reason.${asked.requestId}`);
  const reason = kept ?? "";
  const refuse = () => answer({ behavior: "deny", ...(reason.trim() && { message: reason }) });
  return (
    <>
      <label>
        {t().conversation.whyNot}
        <input value={reason} maxLength={10_000} onInput={(event) => setReason(event.currentTarget.value)} />
      </label>
      <p class="actions">
        <button type="button" class="primary" disabled={isBusy} onClick={() => answer({ behavior: "allow" })}>
          {allow}
        </button>
        <button type="button" disabled={isBusy} onClick={refuse}>
          {deny}
        </button>
      </p>
    </>
  );
}

function Permission({ asked, ...rest }: CardProps) {
  const item = { name: asked.tool ?? "", input: asked.input };
  const edit = editOf(item);
  const words = t().conversation;
  return (
    <>
      <p>
        <strong>{item.name}</strong> {edit && shortPath(edit.path)}
      </p>
      {edit ? (
        <DiffView lines={edit.lines} label={words.changesIn(shortPath(edit.path))} />
      ) : asked.input ? (
        <LongText text={inputText(item)} class="input" />
      ) : (
        <p class="muted">{words.tooLong}</p>
      )}
      <Decide asked={asked} allow={words.allow} deny={words.refuse} {...rest} />
    </>
  );
}

function Plan({ asked, ...rest }: CardProps) {
  const words = t().conversation;
  // The CLI asks without the plan that the model gave; its call has it.
  const call = rest.log?.fold.items.findLast((item) => item.kind === "tool" && item.name === asked.tool);
  const plan = textOf(asked.input?.["plan"]) || (call?.kind === "tool" && textOf(call.input?.["plan"]));
  return (
    <>
      {plan ? <Markdown text={plan} /> : <p class="muted">{words.planAbove}</p>}
      <Decide asked={asked} allow={words.doIt} deny={words.keepPlanning} {...rest} />
    </>
  );
}

interface Choice {
  question: string;
  isMany: boolean;
  options: { label: string; description: string }[];
}

/** The questions of the tool's input; it comes from the agent, so each field is looked at. */
function choicesOf(input: Waiting["input"]): Choice[] {
  const questions = Array.isArray(input?.["questions"]) ? input["questions"].slice(0, 10) : [];
  return questions.map(objectOf).map((one) => ({
    question: textOf(one["question"]),
    isMany: one["multiSelect"] === true,
    options: (Array.isArray(one["options"]) ? one["options"].slice(0, 20) : [])
      .map(objectOf)
      .map(({ label, description }) => ({ label: textOf(label), description: textOf(description) })),
  }));
}

const nothingChosen = { chosen: {} as Record<string, string[]>, own: {} as Record<string, string> };
const noAnswer: Decision = { behavior: "deny", message: "The user does not want to answer this." };

function Question({ asked, answer, isBusy }: CardProps) {
  const choices = choicesOf(asked.input);
  const [{ chosen, own }, keep] = useKeptFields(`berth.answer.${asked.requestId}`, nothingChosen);
  const answers = Object.fromEntries(
    choices.map(({ question }) => [
      question,
      [...(chosen[question] ?? []), own[question]?.trim() ?? ""].filter(Boolean).join(", "),
    ]),
  );
  const isWhole = Object.values(answers).every(Boolean);
  const choose = ({ question, isMany }: Choice, label: string, isOn: boolean) => {
    const others = isMany ? (chosen[question] ?? []).filter((one) => one !== label) : [];
    keep({ own, chosen: { ...chosen, [question]: isOn ? [...others, label] : others } });
  };
  const submit = (event: Event) => {
    event.preventDefault();
    if (isWhole) answer({ behavior: "allow", updatedInput: { ...asked.input, answers } });
  };
  return (
    <form onSubmit={submit}>
      {choices.map((choice, at) => (
        <fieldset key={at}>
          <legend>{choice.question}</legend>
          {choice.options.map(({ label, description }) => (
            <label key={label} class="option">
              <input
                type={choice.isMany ? "checkbox" : "radio"}
                name={`answer-${at}`}
                checked={chosen[choice.question]?.includes(label) ?? false}
                onChange={(event) => choose(choice, label, event.currentTarget.checked)}
              />
              <span>
                {label} <span class="muted">{description}</span>
              </span>
            </label>
          ))}
          <label>
            {t().conversation.ownWords}
            <input
              value={own[choice.question] ?? ""}
              maxLength={4000}
              onInput={(event) => keep({ chosen, own: { ...own, [choice.question]: event.currentTarget.value } })}
            />
          </label>
        </fieldset>
      ))}
      <p class="actions">
        <button type="submit" class="primary" disabled={isBusy || !isWhole}>
          {t().conversation.answer}
        </button>
        <button type="button" disabled={isBusy} onClick={() => answer(noAnswer)}>
          {t().conversation.noAnswer}
        </button>
      </p>
    </form>
  );
}
