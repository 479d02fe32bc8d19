/** The hosts that every workspace reaches in `allowlist` mode, before what BERTH_EGRESS_ALLOW adds. */

export const builtInHosts: readonly string[] = [
  // Git hosting: clones, release files, and the APIs beside them.
  "github.com",
  "*.github.com",
  "*.githubusercontent.com",
  // Where GitHub has LFS files put. It is a bucket's name: no other one of that store is meant.
  "github-cloud.s3.amazonaws.com",
  "gitlab.com",
  "bitbucket.org",
  "api.bitbucket.org",
  // JavaScript packages.
  "*.npmjs.org",
  "registry.yarnpkg.com",
  // Python: the index and the files it names.
  "pypi.org",
  "files.pythonhosted.org",
  // Rust crates.
  "crates.io",
  "index.crates.io",
  "static.crates.io",
  // Go modules and their checksums.
  "proxy.golang.org",
  "sum.golang.org",
  // Ruby gems.
  "rubygems.org",
  "index.rubygems.org",
  // Java artefacts.
  "repo.maven.apache.org",
  "repo1.maven.org",
  // Debian and Ubuntu packages.
  "*.debian.org",
  "archive.ubuntu.com",
  "security.ubuntu.com",
];
