/** The D1 bindings of the Worker under test: as many apps can be open at once. */
export const databases = Array.from({ length: 24 }, (_, at) => `DB${at}`);
