/** The heads of a table: words first, then numbers, then a column of buttons, which only a screen reader hears named. */
import "../style/lists.css";
import { t } from "../i18n/language.ts";

interface TableHeadProps {
  names: string[];
  numbers?: string[];
  hasActions?: boolean;
}

export function TableHead({ names, numbers = [], hasActions = false }: TableHeadProps) {
  return (
    <thead>
      <tr>
        {names.map((name) => (
          <th key={name}>{name}</th>
        ))}
        {numbers.map((name) => (
          <th key={name} class="number">
            {name}
          </th>
        ))}
        {hasActions && (
          <th>
            <span class="sr-only">{t().common.actions}</span>
          </th>
        )}
      </tr>
    </thead>
  );
}
