// What the published manifests leave out and add. The address of the repository is written in one place: `repository` in the
// root's package.json. `npm pack` runs this for each package (scripts `prepack` and `postpack`).
const { relative } = require("node:path")
const { repository } = require("./package.json")

const page = repository.url.replace(/^git\+/, "").replace(/\.git$/, "")
const directory = relative(__dirname, process.cwd())

module.exports = {
  indent: 2,
  // Only the repository's own installation needs these.
  remove: ["workspaces", "overrides", "devDependencies", "scripts"],
  replace: {
    repository: { ...repository, ...(directory && { directory }) },
    bugs: { url: `${page}/issues` },
    homepage: `${page}${directory && `/tree/main/${directory}`}#readme`,
  },
}
