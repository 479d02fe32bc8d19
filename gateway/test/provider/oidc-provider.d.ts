/** For tests: the provider comes without types, and its own would bring a server framework along. */
declare module "oidc-provider";
