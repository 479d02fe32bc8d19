/** For an address that leads nowhere. */
import { Link } from "../ui/router.tsx";

export function NotFoundPage() {
  return (
    <section class="page narrow">
      <h1>There is nothing here</h1>
      <p>
        The address is mistyped, what was here is deleted, or it is for admins. <Link href="/">Go to your agents</Link>.
      </p>
    </section>
  );
}
