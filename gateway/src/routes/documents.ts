/** The contract as OpenAPI and as a page to read, both from the declared routes. */
import { z } from "zod";
import { describeRoutes, type OpenApi } from "../http/openapi.ts";
import { htmlPage } from "../http/html.ts";
import { referenceBody } from "../http/reference.ts";
import { route, type Route } from "../http/route.ts";

export function documentRoutes(contract: Route[]): Route[] {
  let described: OpenApi | undefined;
  const describe = (serverUrl: string) => (described ??= describeRoutes([...contract, ...routes], serverUrl));
  const routes: Route[] = [
    route({
      method: "GET",
      path: "/openapi.json",
      summary: "This contract as OpenAPI 3.1",
      auth: "none",
      answer: z.record(z.string(), z.unknown()),
      run: async ({ deps }) => describe(deps.settings.BERTH_PUBLIC_URL),
    }),
    route({
      method: "GET",
      path: "/docs",
      summary: "This contract to read",
      auth: "none",
      media: "text/html",
      run: async ({ deps }) =>
        htmlPage("Berth API", referenceBody([...contract, ...routes], describe(deps.settings.BERTH_PUBLIC_URL))),
    }),
  ];
  return routes;
}
