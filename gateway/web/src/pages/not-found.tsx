/** For an address that leads nowhere. */
import { t } from "../i18n/language.ts";
import { Link } from "../ui/router.tsx";

export function NotFoundPage() {
  return (
    <section class="page narrow">
      <h1>{t().frame.nothingHere}</h1>
      <p>
        {t().frame.nothingHereWhy((link) => (
          <Link href="/">{link}</Link>
        ))}
      </p>
    </section>
  );
}
