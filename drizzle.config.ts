/** Where `drizzle-kit generate` reads the tables and writes the migrations that Node and D1 both apply. */
export default {
  dialect: "sqlite",
  schema: ["./gateway/src/data/schema.ts", "./gateway/src/data/webhook-tables.ts"],
  out: "./migrations",
};
