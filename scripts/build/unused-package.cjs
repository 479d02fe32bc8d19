// Stands in for a package that the bundles never call: see bundle.ts.
module.exports = {};
