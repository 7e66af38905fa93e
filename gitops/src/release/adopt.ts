import { parse, print } from './documents.ts'
import { environments, factsPath, releasePath } from './environments.ts'
import { tryGit } from './git.ts'
import { by, type Place, publish } from './publish.ts'
import { Refusal } from './refusal.ts'
import { readRelease, writeRelease } from './release-file.ts'
import type { Snapshot } from './snapshot.ts'

/** What a fork changes: where its repository and its images are, and the domain that its hosts are below. */
export type Facts = { repository: string; registry: string; domain: string }

/**
 * The generator of previews follows the pull requests of OWNER/NAME on GitHub, or on a server of one's own with GitHub's API.
 * It cannot follow a repository in a subgroup, or on another forge.
 */
const repositoryUrl =
  /^https:\/\/(?![\w.-]*(?:gitlab|bitbucket|codeberg|gitea|azure)[\w.-]*[:/])[\w.-]+(?::\d+)?(?:\/[\w.-]+){2}$/
const patterns: Record<keyof Facts, [RegExp, string]> = {
  repository: [
    repositoryUrl,
    'the URL of its page on GitHub, https://HOST/OWNER/NAME, because previews cannot follow a subgroup or another forge',
  ],
  registry: [/^[a-z0-9.-]+(?::\d+)?(?:\/[a-z0-9._-]+)+$/, 'HOST/OWNER in small letters'],
  domain: [/^(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$/, 'a domain name in small letters'],
}

/** Writes the facts of a fork in one commit. Answers with one sentence; throws a Refusal for a fact that cannot be. */
export async function adopt(place: Place, given: Facts): Promise<string> {
  const facts = { ...given, repository: given.repository.replace(/(?:\.git)?\/?$/, '') }
  for (const [name, [pattern, form]] of Object.entries(patterns) as [keyof Facts, [RegExp, string]][]) {
    if (!pattern.test(facts[name])) throw new Refusal(`${facts[name]} is not a ${name}: give ${form}`)
  }
  const { commit } = await publish(place, async (main) => {
    const text = await main.read(factsPath)
    if (text === undefined) throw new Refusal(`${factsPath} is missing: restore it, it is what adopt writes`)
    const document = parse(text, factsPath)
    const old = document.toJS() as { data?: Partial<Facts> }
    for (const name of Object.keys(patterns) as (keyof Facts)[]) {
      const was = old.data?.[name]
      if (was === undefined) throw new Refusal(`${factsPath} has no ${name}: restore it, it is what adopt writes`)
      if (was !== facts[name]) await refuseCopies(main, name, was)
      document.setIn(['data', name], facts[name])
    }
    return {
      files: { [factsPath]: print(document), ...(await releases(main, facts.registry)) },
      subject: `Adopt ${facts.repository}`,
      body: Object.entries(facts)
        .map(([name, value]) => `${name}: ${value}`)
        .join('\n'),
    }
  })
  const what = `${facts.repository} and its registry and domain are the facts`
  return commit === undefined ? `${what} already: nothing to write.` : `${what}, ${by(place, commit)}.`
}

/** A fact that stands anywhere else would keep its old value there, unnoticed. */
async function refuseCopies(main: Snapshot, name: string, value: string): Promise<void> {
  const where = ['gitops/*.yaml', `:!${factsPath}`, ':!gitops/test', ':!gitops/apps/orders/releases']
  const { code, stdout } = await tryGit(main.folder, ['grep', '-lF', '-e', value, main.commit, '--', ...where])
  if (code !== 0) return
  const file = stdout
    .toString()
    .split('\n')[0]
    ?.slice(main.commit.length + 1)
  throw new Refusal(`${file} repeats the ${name} ${value}: take it from ${factsPath} there by a replacement first`)
}

/** The releases with the images of the fork's registry; a source that the fork does not have binds it to nothing. */
async function releases(main: Snapshot, registry: string): Promise<Record<string, string>> {
  const files: Record<string, string> = {}
  for (const env of environments) {
    const path = releasePath(env)
    const text = await main.read(path)
    if (text === undefined) continue
    const { commit, images } = readRelease(text, path)
    files[path] = writeRelease(text, path, {
      commit: commit !== undefined && (await main.contains(commit)) ? commit : undefined,
      images: images.map((image) => ({ ...image, newName: `${registry}/${image.name}` })),
    })
  }
  return files
}
