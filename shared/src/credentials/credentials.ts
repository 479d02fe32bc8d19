/** What agents use and never see: credentials for git and its forge, secrets of any https API. As the contract shows and accepts them. */
import { z } from "zod";
import { plainText, time } from "../values.ts";

/** More of a kind a user may not have. */
export const maxCredentials = 50;

const label = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?";
/** A host as it is in an https address: a name in lower case, with its port where that is not 443. */
export const hostAuthority = z
  .string()
  .max(200)
  .toLowerCase()
  .transform((text) => text.replace(/:443$/, ""))
  .pipe(
    z
      .string()
      .regex(
        new RegExp(String.raw`^(?:${label}\.)+(?!\d+(?::|$))${label}(?::[1-9]\d{0,4})?$`),
        "must be a host's name, as git.example.com or git.example.com:8443",
      ),
  );
/** A label of a host name: it is one. */
export const secretName = z
  .string()
  .regex(new RegExp(`^${label}$`), "must be small letters, digits and - alone")
  .max(40);

/** Shorter ones could not be told from ordinary text where an answer repeats them. */
const secretValue = z
  .string()
  .min(8, "must have at least 8 characters")
  .max(8192)
  .regex(/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/, "must be one line of ASCII without spaces around it");

/** What a forge calls a pull request, and where. */
const forge = z.enum(["github", "gitea", "gitlab"]);
export type Forge = z.infer<typeof forge>;

const repository = z
  .string()
  .max(300)
  .regex(
    /^(?!.*(?:^|\/)\.{1,2}(?:\/|$))[^/\\%;*?#\s\p{Cc}]+(?:\/[^/\\%;*?#\s\p{Cc}]+)*(?:\/\*)?$/u,
    "must be owner/name or owner/*",
  )
  .transform((path) => path.replace(/\.git$/, ""));

/** `PUT /v1/git-credentials/:host`; without `repositories` it is for all that the host has. */
export const gitCredentialBody = z.strictObject({
  username: plainText
    .min(1)
    .max(200)
    .regex(/^[^\p{Cc}:]+$/u, "must be one line without a colon"),
  token: secretValue,
  readOnly: z.boolean().default(false),
  repositories: z.array(repository).min(1).max(50).nullable().default(null),
  /** Whose API opens pull requests; null goes by the host's name. */
  forge: forge.nullable().default(null),
});
export type GitCredentialBody = z.infer<typeof gitCredentialBody>;
const uses = { createdAt: time, lastUsedAt: time.nullable() };
export const gitCredentialSchema = z
  .object({ host: z.string(), ...gitCredentialBody.omit({ token: true }).shape, ...uses })
  .meta({ id: "GitCredential" });
export type GitCredential = z.infer<typeof gitCredentialSchema>;

/** Headers that are the connection's own, or say where a call goes. */
const notForSecrets =
  /^(host|connection|keep-alive|content-length|transfer-encoding|te|trailer|upgrade|expect|accept-encoding|proxy-.*): /i;
const headerTemplate = z
  .string()
  .max(500)
  .regex(
    /^[\w!#$%&'*+.^`|~-]+: (?=[^{}]*\{\}[^{}]*$)[\x20-\x7e]+$/,
    "must be a header with one {} in it, as Authorization: Bearer {}",
  )
  .refine((text) => !notForSecrets.test(text), "is a header that Berth sets itself");
const method = z.enum(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]);
const pathPrefix = z
  .string()
  .max(500)
  .regex(/^\/(?!.*(?:\/\/|\/\.{1,2}(?:\/|$)))[\w!$&'()*+,.:=@~/-]*$/, "must begin with / and be a plain path");

/** `PUT /v1/secrets/:name`. `{}` in the header is the value; the first host is the one that is called unless another is named. */
export const secretBody = z.strictObject({
  value: secretValue,
  hosts: z.array(hostAuthority).min(1).max(10),
  header: headerTemplate.default("Authorization: Bearer {}"),
  methods: z.array(method).min(1).max(6).default(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]),
  /** What the paths that may be called begin with, by whole segments. */
  paths: z.array(pathPrefix).min(1).max(20).default(["/"]),
});
export type SecretBody = z.infer<typeof secretBody>;
export const secretSchema = z
  .object({ name: z.string(), ...secretBody.omit({ value: true }).shape, ...uses })
  .meta({ id: "Secret" });
export type Secret = z.infer<typeof secretSchema>;

/** What a host answers to a list of them: all that there are. */
export const gitCredentialsAnswer = z.object({ items: z.array(gitCredentialSchema) });
export const secretsAnswer = z.object({ items: z.array(secretSchema) });

/** `POST /v1/agents/:id/pull-requests`: from the branch that the agent's repository is on, into `base`, or without it into the forge's default branch. */
export const pullRequestBody = z.strictObject({
  title: plainText.trim().min(1).max(250),
  body: plainText.max(60_000).default(""),
  base: z
    .string()
    .max(250)
    .regex(/^[^\s~^:?*[\\\p{Cc}]+$/u, "must be the name of a branch")
    .optional(),
});
export type PullRequestBody = z.infer<typeof pullRequestBody>;
export const pullRequestSchema = z.object({ url: z.string(), number: z.int() }).meta({ id: "PullRequest" });
export type PullRequest = z.infer<typeof pullRequestSchema>;
